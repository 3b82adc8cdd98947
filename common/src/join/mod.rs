//! Join strings and file links: the text that people pass to each other.
//!
//! ```text
//! shoal://<tracker key, 52 base32 characters>@host:port[?secret=…]
//! shoal://<tracker key>@host:port/<content id>?k=f|d&n=<name>
//! ```
//!
//! Unknown parameters are skipped, so old programs read new links.

mod percent;
mod secret;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::content::Kind;
use crate::id::{ContentId, PeerId};
use crate::limits::MAX_NAME_LEN;

pub use secret::{MAX_SECRET_LEN, MIN_SECRET_LEN, Secret, SecretError};

/// Port of a tracker unless the join string names another.
pub const DEFAULT_TRACKER_PORT: u16 = 7420;
/// Longest link in bytes: a 255-byte name, percent-encoded, and a 256-byte secret fit.
pub const MAX_LINK_LEN: usize = 2048;

const SCHEME: &str = "shoal://";
/// Longest DNS name in text form (RFC 1035, section 2.3.4).
const MAX_HOST_LEN: usize = 253;
/// How much of a wrong part an error message repeats, in characters.
const MAX_SHOWN: usize = 60;

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

/// How to reach a network: the tracker's key and address, and the secret if the network is closed.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinString {
    tracker: PeerId,
    host: String,
    port: u16,
    secret: Option<Secret>,
}

/// A link to one file or folder of a network. Never carries the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct FileLink {
    join: JoinString,
    id: ContentId,
    kind: Option<Kind>,
    name: Option<String>,
}

/// What a pasted link turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// A network to join.
    Join(JoinString),
    /// A file or folder in a network.
    File(FileLink),
}

impl JoinString {
    /// Puts one together. `host` is a name, an IPv4 or an IPv6 address (brackets optional).
    ///
    /// # Errors
    /// [`JoinError::Host`] or [`JoinError::Port`] (port 0).
    pub fn new(
        tracker: PeerId,
        host: &str,
        port: u16,
        secret: Option<Secret>,
    ) -> Result<Self, JoinError> {
        if port == 0 {
            return Err(JoinError::Port { shown: "0".to_owned() });
        }
        Ok(Self { tracker, host: parse_host(host)?, port, secret })
    }

    /// The tracker's key.
    pub fn tracker(&self) -> PeerId {
        self.tracker
    }

    /// Host name or address, lower case, without brackets: what a resolver takes.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The secret of a closed network, if the string has one.
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// The same with another secret: one that came from a file or the environment.
    #[must_use]
    pub fn with_secret(mut self, secret: Option<Secret>) -> Self {
        self.secret = secret;
        self
    }

    /// `host:port` with brackets around an IPv6 address; free of secrets.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FileLink {
    /// A link to `id`. The secret of `join` is left out, and a name that could not be read back
    /// (too long, control characters): it is only a hint.
    pub fn new(join: &JoinString, id: ContentId, kind: Option<Kind>, name: Option<&str>) -> Self {
        let name = name.filter(|name| is_name_hint(name)).map(str::to_owned);
        Self { join: join.clone().with_secret(None), id, kind, name }
    }

    /// The network, without its secret.
    pub fn join(&self) -> &JoinString {
        &self.join
    }

    /// The content.
    pub fn id(&self) -> ContentId {
        self.id
    }

    /// File or folder, if the link says; a hint that is not checked.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// A name from a stranger: only for display, and only through [`crate::names`].
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// Reads a join string or a file link; white space around it is dropped.
///
/// # Errors
/// What is wrong, where, and what to do.
pub fn parse_any(text: &str) -> Result<Link, JoinError> {
    let rest = without_scheme(text)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (key, address) = authority.rsplit_once('@').ok_or(JoinError::NoKey)?;
    if key.is_empty() {
        return Err(JoinError::NoKey);
    }
    let tracker = key.parse().map_err(|_| JoinError::Key { got: key.chars().count() })?;
    let (host, port) = split_address(address)?;
    let host = parse_host(host)?;
    let path = path.strip_suffix('/').unwrap_or(path);

    if path.is_empty() {
        let secret = parameter(query, "secret")?.map(|text| text.parse()).transpose()?;
        return Ok(Link::Join(JoinString { tracker, host, port, secret }));
    }
    let id = path.parse().map_err(|_| JoinError::Id { got: path.chars().count() })?;
    let kind = parameter(query, "k")?.and_then(|kind| match kind.as_str() {
        "f" => Some(Kind::File),
        "d" => Some(Kind::Folder),
        _ => None,
    });
    let name = parameter(query, "n")?;
    if name.as_deref().is_some_and(|name| !is_name_hint(name)) {
        return Err(JoinError::Parameter { name: "n" });
    }
    let join = JoinString { tracker, host, port, secret: None };
    Ok(Link::File(FileLink { join, id, kind, name }))
}

impl FromStr for JoinString {
    type Err = JoinError;

    fn from_str(text: &str) -> Result<Self, JoinError> {
        match parse_any(text)? {
            Link::Join(join) => Ok(join),
            Link::File(_) => Err(JoinError::IsFile),
        }
    }
}

impl FromStr for FileLink {
    type Err = JoinError;

    fn from_str(text: &str) -> Result<Self, JoinError> {
        match parse_any(text)? {
            Link::File(link) => Ok(link),
            Link::Join(_) => Err(JoinError::IsJoin),
        }
    }
}

/// Includes the secret: this is the text one passes on. For logs use [`JoinString::address`].
impl fmt::Display for JoinString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}@{}", self.tracker, self.address())?;
        match &self.secret {
            Some(secret) => write!(f, "?secret={}", percent::encode(secret.expose())),
            None => Ok(()),
        }
    }
}

impl fmt::Display for FileLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.join, self.id)?;
        let kind = self.kind.map(|kind| match kind {
            Kind::File => "k=f".to_owned(),
            Kind::Folder => "k=d".to_owned(),
        });
        let name = self.name.as_ref().map(|name| format!("n={}", percent::encode(name)));
        for (separator, part) in ["?", "&"].iter().zip(kind.iter().chain(name.iter())) {
            write!(f, "{separator}{part}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for JoinString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinString")
            .field("tracker", &self.tracker)
            .field("address", &self.address())
            .field("secret", &self.secret)
            .finish()
    }
}

impl fmt::Debug for FileLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileLink")
            .field("join", &self.join)
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish()
    }
}

fn without_scheme(text: &str) -> Result<&str, JoinError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(JoinError::Empty);
    }
    if text.len() > MAX_LINK_LEN {
        return Err(JoinError::TooLong { got: text.len() });
    }
    if let Some(at) = text.chars().position(|c| c.is_control() || c.is_whitespace()) {
        return Err(JoinError::Control { at: at + 1 });
    }
    text.split_at_checked(SCHEME.len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .map(|(_, rest)| rest)
        .ok_or(JoinError::Scheme)
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_address(address: &str) -> Result<(&str, u16), JoinError> {
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| bad_host(address))?;
        // What stands in brackets must be an IPv6 address.
        if !host.contains(':') {
            return Err(bad_host(address));
        }
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err(bad_host(address)),
        }
    } else {
        match address.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(bad_host(address)),
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        }
    };
    let Some(text) = port else { return Ok((host, DEFAULT_TRACKER_PORT)) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok((host, port)),
        _ => Err(JoinError::Port { shown: shown(text) }),
    }
}

/// Checks a host and brings it to the form it is compared and dialled in.
fn parse_host(text: &str) -> Result<String, JoinError> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if inner.contains(':') {
        let ip: Ipv6Addr = inner.parse().map_err(|_| bad_host(text))?;
        return Ok(ip.to_string());
    }
    let name = inner.to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut labels = name.strip_suffix('.').unwrap_or(&name).split('.');
    let well_formed = name.len() <= MAX_HOST_LEN
        && labels.all(|label| !label.is_empty() && label.len() <= 63 && label.bytes().all(allowed));
    // A name whose last label is a number is an IPv4 address or a typing error.
    let numeric = name
        .rsplit('.')
        .next()
        .is_some_and(|last| !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()));
    if !well_formed || (numeric && name.parse::<Ipv4Addr>().is_err()) {
        return Err(bad_host(text));
    }
    Ok(name)
}

/// The decoded value of a parameter.
fn parameter(query: &str, name: &'static str) -> Result<Option<String>, JoinError> {
    let mut values = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(JoinError::Parameter { name });
    }
    percent::decode(value).map(Some).ok_or(JoinError::Parameter { name })
}

fn is_name_hint(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_LEN && !name.chars().any(char::is_control)
}

fn bad_host(text: &str) -> JoinError {
    JoinError::Host { shown: shown(text) }
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests;
