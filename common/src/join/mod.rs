//! Join strings and file links: the text that people pass to each other.
//!
//! ```text
//! shoal://<tracker key, 52 base32 characters>@host:port[,host:port…][?h=<more addresses>][&secret=…]
//! shoal://<tracker key>@host:port/<content id>?k=f|d&n=<name>[&also=<more ids>][&h=<more addresses>][&then=<standbys>][&secret=…]
//! ```
//!
//! Hosts after the first are standbys: other machines on which a tracker with the same key runs, each to be tried only
//! once those before it are out of reach. A join string names them beside the first. A link names them in `then`, which
//! programs skip that know of one host only; both forms are read in both. `h` holds other addresses of the first host,
//! separated by commas, with its port unless they name their own; `also` ids of what belongs to the same link. Only a
//! one-time link carries a secret. Unknown parameters are skipped, so old programs read new links.

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
/// Hosts and addresses of trackers in a link, in all: more than a machine has that are of use to others, or a network has
/// trackers.
pub const MAX_HOSTS: usize = 8;
/// Contents that one link names: with every address and a secret they still fit [`MAX_LINK_LEN`].
pub const MAX_IDS: usize = 16;

const SCHEME: &str = "shoal://";

/// How to reach a network: the tracker's key and address, and the secret if the network is closed.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinString {
    tracker: PeerId,
    host: String,
    port: u16,
    /// Other addresses of the same tracker, best first.
    more: Vec<(String, u16)>,
    /// Where trackers with the same key stand by, in the order they are tried; with `more` fewer than [`MAX_HOSTS`].
    standbys: Vec<(String, u16)>,
    secret: Option<Secret>,
}

/// A link to a file or folder of a network, or to several. Carries no secret, unless it is one of its own
/// ([`FileLink::one_time`]).
#[derive(Clone, PartialEq, Eq)]
pub struct FileLink {
    join: JoinString,
    id: ContentId,
    /// Fewer than [`MAX_IDS`].
    also: Vec<ContentId>,
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
        let (more, standbys) = (Vec::new(), Vec::new());
        Ok(Self { tracker, host: parse::host(host)?, port, more, standbys, secret })
    }

    /// The same with other addresses of the tracker, best first; those that are there already, cannot be
    /// one, or are more than [`MAX_HOSTS`] are left out.
    #[must_use]
    pub fn with_more<'a>(mut self, hosts: impl IntoIterator<Item = (&'a str, u16)>) -> Self {
        for (host, port) in hosts {
            self.more.extend(self.unknown(host, port));
        }
        self
    }

    /// The same with further hosts where a tracker with this key runs, in the order they are to be tried; left out are the
    /// same as with [`Self::with_more`].
    #[must_use]
    pub fn with_standbys<'a>(mut self, hosts: impl IntoIterator<Item = (&'a str, u16)>) -> Self {
        for (host, port) in hosts {
            self.standbys.extend(self.unknown(host, port));
        }
        self
    }

    /// That host, if it can be one, is not named yet, and there is room.
    fn unknown(&self, host: &str, port: u16) -> Option<(String, u16)> {
        let host = parse::host(host).ok()?;
        let mut named = self.addresses().chain(self.standbys());
        let known = named.any(|known| known == (host.as_str(), port));
        let has_room = 1 + self.more.len() + self.standbys.len() < MAX_HOSTS;
        (!known && port != 0 && has_room).then_some((host, port))
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

    /// Where the first tracker may be reached, best first: [`Self::host`] and [`Self::port`], then others.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, u16)> {
        let more = self.more.iter().map(|(host, port)| (host.as_str(), *port));
        std::iter::once((self.host.as_str(), self.port)).chain(more)
    }

    /// Further hosts where a tracker with the same key runs, in the order they are to be tried.
    pub fn standbys(&self) -> impl Iterator<Item = (&str, u16)> {
        self.standbys.iter().map(|(host, port)| (host.as_str(), *port))
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

    /// `host:port` of the first tracker with brackets around an IPv6 address; free of secrets.
    pub fn address(&self) -> String {
        host_and_port(&self.host, self.port)
    }

    /// The same as text that programs which know of one host only read too: to them the first is all there is.
    pub fn widely_read(&self) -> String {
        let mut text = format!("{SCHEME}{}@{}", self.tracker, self.address());
        // Writing to a text does not fail.
        let _ = write_parameters(&mut text, self.parameters(true));
        text
    }

    /// Parameters of a link: other addresses, standbys unless they are named before, and the secret.
    fn parameters(&self, standbys: bool) -> impl Iterator<Item = String> {
        let more = self.more.iter().map(|(host, port)| match *port == self.port {
            true if host.contains(':') => format!("[{host}]"),
            true => host.clone(),
            false => host_and_port(host, *port),
        });
        let more: Vec<String> = more.collect();
        let more = (!more.is_empty()).then(|| format!("h={}", more.join(",")));
        let then: Vec<String> =
            self.standbys().map(|(host, port)| host_and_port(host, port)).collect();
        let then = (standbys && !then.is_empty()).then(|| format!("then={}", then.join(",")));
        let secret = self.secret.as_ref();
        let secret = secret.map(|secret| format!("secret={}", percent::encode(secret.expose())));
        more.into_iter().chain(then).chain(secret)
    }
}

/// A text as a value in the query of a link: all but the unreserved characters of RFC 3986, 2.3, as `%XX`.
pub fn percent_encode(text: &str) -> String {
    percent::encode(text)
}

/// `host:port` with brackets around an IPv6 address.
pub fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl FileLink {
    /// A link to `id`. The secret of `join` is left out, and a name that could not be read back
    /// (too long, control characters): it is only a hint.
    pub fn new(join: &JoinString, id: ContentId, kind: Option<Kind>, name: Option<&str>) -> Self {
        let name = name.filter(|name| parse::is_name_hint(name)).map(str::to_owned);
        Self { join: join.clone().with_secret(None), id, also: Vec::new(), kind, name }
    }

    /// The same for whoever holds the link alone: with the secret of `join`, which is made for this link
    /// and dies with it.
    #[must_use]
    pub fn one_time(mut self, join: &JoinString) -> Self {
        self.join = join.clone();
        self
    }

    /// The same with more contents; those over [`MAX_IDS`] are left out. The name stands for the first.
    #[must_use]
    pub fn with_also(mut self, ids: impl IntoIterator<Item = ContentId>) -> Self {
        self.also = ids.into_iter().take(MAX_IDS - 1).collect();
        self
    }

    /// A link to each of its contents, without the secret.
    pub fn each(&self) -> Vec<Self> {
        let first = Self::new(&self.join, self.id, self.kind, self.name.as_deref());
        let also = self.also.iter().map(|id| Self::new(&self.join, *id, None, None));
        std::iter::once(first).chain(also).collect()
    }

    /// The network, with the secret of a one-time link.
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
        for (host, port) in self.standbys() {
            write!(f, ",{}", host_and_port(host, port))?;
        }
        write_parameters(f, self.parameters(false))
    }
}

fn write_parameters(f: &mut impl fmt::Write, all: impl Iterator<Item = String>) -> fmt::Result {
    for (separator, part) in std::iter::once("?").chain(std::iter::repeat("&")).zip(all) {
        write!(f, "{separator}{part}")?;
    }
    Ok(())
}

impl fmt::Display for FileLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = &self.join;
        write!(f, "{SCHEME}{}@{}/{}", join.tracker, join.address(), self.id)?;
        let kind = self.kind.map(|kind| match kind {
            Kind::File => "k=f".to_owned(),
            Kind::Folder => "k=d".to_owned(),
        });
        let name = self.name.as_ref().map(|name| format!("n={}", percent::encode(name)));
        let also: Vec<String> = self.also.iter().map(ToString::to_string).collect();
        let also = (!also.is_empty()).then(|| format!("also={}", also.join(",")));
        let own = kind.into_iter().chain(name).chain(also);
        write_parameters(f, own.chain(join.parameters(true)))
    }
}

impl fmt::Debug for JoinString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinString")
            .field("tracker", &self.tracker)
            .field("address", &self.address())
            .field("more", &self.more)
            .field("standbys", &self.standbys)
            .field("secret", &self.secret)
            .finish()
    }
}

impl fmt::Debug for FileLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileLink")
            .field("join", &self.join)
            .field("id", &self.id)
            .field("also", &self.also)
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish()
    }
}

#[cfg(test)]
mod tests;
