//! What can be wrong with a join string or a file link, in words that help to correct it.

use super::{MAX_HOSTS, MAX_LINK_LEN, SecretError};

/// Why text is not a join string or file link. Repeats at most the part that is wrong, escaped, and
/// never a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Nothing but white space.
    #[error("the join string is empty; paste the line that the tracker printed, shoal://…")]
    Empty,
    /// Longer than any link.
    #[error("the link has {got} bytes, at most {MAX_LINK_LEN} are allowed; is it several lines?")]
    TooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// A line break, an escape sequence or the like.
    #[error(
        "character {at} of the link is a control character or a space; copy it again as one line"
    )]
    Control {
        /// Which character, counted from 1.
        at: usize,
    },
    /// Does not start with `shoal://`.
    #[error("a join string starts with shoal://; paste the whole line that the tracker printed")]
    Scheme,
    /// No `key@`.
    #[error(
        "the tracker's key is missing: expected shoal://<key>@host:port, as the tracker prints it"
    )]
    NoKey,
    /// The text before the `@` is not a key.
    #[error(
        "the tracker's key (before the @) is incomplete or mistyped: 52 characters a-z, 2-7 expected, got {got}"
    )]
    Key {
        /// How many characters there were.
        got: usize,
    },
    /// The host is missing or impossible.
    #[error(
        "{shown:?} is not a host name or address (after the @); IPv6 addresses go in brackets: [::1]:7420"
    )]
    Host {
        /// The start of what stood there.
        shown: String,
    },
    /// The port is not 1 to 65535.
    #[error("{shown:?} is not a port (after the host): a number from 1 to 65535 expected")]
    Port {
        /// The start of what stood there.
        shown: String,
    },
    /// More hosts and addresses than a link may name.
    #[error("the link names more than {MAX_HOSTS} hosts of trackers; leave some out")]
    Hosts,
    /// The text after the `/` is not a content id.
    #[error(
        "the file id (after the /) is incomplete or mistyped: 52 characters a-z, 2-7 expected, got {got}"
    )]
    Id {
        /// How many characters there were.
        got: usize,
    },
    /// A parameter is broken or given twice.
    #[error("the parameter {name}= of the link is damaged or given twice; copy the link again")]
    Parameter {
        /// Its name.
        name: &'static str,
    },
    /// The secret is unusable.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A link to a file where a join string was expected.
    #[error(
        "this is a link to a file, not a join string; a join string ends after host:port or ?secret=…"
    )]
    IsFile,
    /// A join string where a link to a file was expected.
    #[error("this is a join string, not a link to a file; a file link has /<id> after host:port")]
    IsJoin,
}
