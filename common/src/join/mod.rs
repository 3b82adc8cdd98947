//! Join strings and file links: the text that people pass to each other.
//!
//! ```text
//! shoal://<tracker key, 52 base32 characters>@host:port[?secret=…]
//! shoal://<tracker key>@host:port/<content id>?k=f|d&n=<name>
//! ```
//!
//! Unknown parameters are skipped, so old programs read new links.

mod error;
mod parse;
mod percent;
mod secret;

use std::fmt;
use std::str::FromStr;

use crate::content::Kind;
use crate::id::{ContentId, PeerId};

pub use error::JoinError;
pub use parse::parse_any;
pub use secret::{MAX_SECRET_LEN, MIN_SECRET_LEN, Secret, SecretError};

/// Port of a tracker unless the join string names another.
pub const DEFAULT_TRACKER_PORT: u16 = 7420;
/// Longest link in bytes: a 255-byte name, percent-encoded, and a 256-byte secret fit.
pub const MAX_LINK_LEN: usize = 2048;

const SCHEME: &str = "shoal://";

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
        Ok(Self { tracker, host: parse::host(host)?, port, secret })
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
        let name = name.filter(|name| parse::is_name_hint(name)).map(str::to_owned);
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

#[cfg(test)]
mod tests;
