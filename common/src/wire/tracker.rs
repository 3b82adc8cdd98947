//! Messages between a peer and its tracker (decisions.md 1 and 5, tracker.md 3.3).
//!
//! One standing connection per peer. Every request carries `q`, echoed by its answer; one-way messages
//! and pushes have none. All bodies are MessagePack maps with short keys.
//!
//! Flow: HELLO / WELCOME, then REGISTER only when the share digest did not match, CHUNK_REGISTER for
//! every unfinished download, WATCH for what the user looks at, and deltas from then on. Nobody polls.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Code, IGNORABLE, WireError, bounded, pack};
use crate::content::Descriptor;
use crate::hash::sha256_concat;
use crate::id::{ContentId, Hash, PeerId};
use crate::limits::{
    MAX_ADDRS, MAX_AGENT, MAX_ALIASES, MAX_CHUNK_REGISTER, MAX_DELTA, MAX_FOLDER_CHUNKS,
    MAX_LIST_ROWS, MAX_LOCATIONS, MAX_NAME_LEN, MAX_NICK, MAX_QUERY, MAX_REGISTER, MAX_TEXT,
    MAX_WATCHES,
};

/// First message of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Lowest and highest protocol version spoken.
    #[serde(rename = "v")]
    pub versions: (u8, u8),
    /// Program and version.
    #[serde(rename = "a")]
    pub agent: String,
    /// What the peer's owner calls it (often the host name); shown to others, may be empty.
    #[serde(rename = "n", default)]
    pub nick: String,
    /// Port the peer listens on; 0 if it does not.
    #[serde(rename = "p")]
    pub port: u16,
    /// Local addresses, offered only to peers behind the same public address.
    #[serde(rename = "d", default)]
    pub local: Vec<SocketAddr>,
    /// Proof of the network secret (see [`crate::join::Secret`]).
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Hash>,
    /// [`share_digest`] of the peer's complete shares.
    #[serde(rename = "g")]
    pub digest: Hash,
}

/// Answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Version both will speak.
    #[serde(rename = "v")]
    pub version: u8,
    /// Signed membership, to be shown to other peers.
    #[serde(rename = "m", with = "serde_bytes")]
    pub membership: Vec<u8>,
    /// The peer's address as the tracker sees it.
    #[serde(rename = "y")]
    pub observed: SocketAddr,
    /// Changes whenever the tracker lost its soft state.
    #[serde(rename = "e")]
    pub epoch: u64,
    /// The tracker's clock: milliseconds since 1970.
    #[serde(rename = "w")]
    pub now_ms: u64,
    /// Seconds of silence after which the peer should ping.
    #[serde(rename = "b")]
    pub heartbeat_s: u16,
    /// Milliseconds between two CHUNK_REGISTER of this peer.
    #[serde(rename = "hi")]
    pub have_interval_ms: u32,
    /// Whether the digest matched: nothing to register again.
    #[serde(rename = "ok")]
    pub share_ok: bool,
}

/// What is registered about a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// Kind, size and root; the id follows.
    #[serde(rename = "d")]
    pub descriptor: Descriptor,
    /// Name given by this peer.
    #[serde(rename = "n")]
    pub name: String,
    /// Bytes of all files together (for a file: its size). A hint until verified.
    #[serde(rename = "t")]
    pub total: u64,
    /// Number of chunks. A hint until verified.
    #[serde(rename = "c")]
    pub chunks: u32,
}

/// A row of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// The content.
    #[serde(rename = "f")]
    pub meta: FileMeta,
    /// Other names it is shared under.
    #[serde(rename = "o", default)]
    pub aliases: Vec<String>,
    /// Connected peers that have at least one chunk.
    #[serde(rename = "s")]
    pub sources: u32,
    /// Connected peers that have all chunks.
    #[serde(rename = "k")]
    pub complete: u32,
    /// When it was first registered, in seconds since 1970.
    #[serde(rename = "b", default)]
    pub first_seen: u64,
}

/// One peer that has (part of) a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The peer's key.
    #[serde(rename = "k")]
    pub peer: PeerId,
    /// Its name for itself.
    #[serde(rename = "n", default)]
    pub nick: String,
    /// Where to reach it: the observed address with the declared port first.
    #[serde(rename = "a")]
    pub addrs: Vec<SocketAddr>,
    /// Chunks it has.
    #[serde(rename = "h")]
    pub have: u32,
    /// Which, as [`crate::chunk_set::ChunkSet`] encodes them; left out when the answer grows too long.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none", with = "serde_bytes")]
    pub set: Option<Vec<u8>>,
}

/// Progress of one content in a [`Request::ChunkRegister`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkUpdate {
    /// The content.
    #[serde(rename = "i")]
    pub id: ContentId,
    /// Encoded chunk set: the new chunks, or all of them when `full`.
    #[serde(rename = "r", with = "serde_bytes")]
    pub set: Vec<u8>,
    /// Chunks the set is about (its encoding does not say).
    #[serde(rename = "c")]
    pub chunks: u32,
    /// Chunks held after this update; lets the tracker notice a lost one.
    #[serde(rename = "t")]
    pub total: u32,
    /// Replaces what was known instead of adding to it.
    #[serde(rename = "x", default)]
    pub full: bool,
}

/// Order of a [`Request::FileList`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Sort {
    /// By name, case-folded.
    Name,
    /// Largest first.
    Size,
    /// Most sources first.
    Sources,
    /// Newest first.
    Newest,
}

impl From<Sort> for u8 {
    fn from(sort: Sort) -> Self {
        sort as Self
    }
}

impl TryFrom<u8> for Sort {
    type Error = String;

    fn try_from(byte: u8) -> Result<Self, Self::Error> {
        match byte {
            0 => Ok(Self::Name),
            1 => Ok(Self::Size),
            2 => Ok(Self::Sources),
            3 => Ok(Self::Newest),
            other => Err(format!("unknown sort order {other}")),
        }
    }
}

/// Peer to tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// First message.
    Hello(Hello),
    /// "I have these completely"; answered by `Done` once it is on disk.
    Register {
        /// Echoed by the answer.
        q: u32,
        /// At most 256.
        files: Vec<FileMeta>,
        /// More REGISTER of the same list follow; with the last one the tracker forgets what the
        /// peer had registered earlier and did not name again.
        more: bool,
        /// This REGISTER starts a full list (it replaces what was known), instead of adding to it.
        full: bool,
    },
    /// "I no longer share these."
    Unregister {
        /// Echoed by the answer.
        q: u32,
        /// At most 256.
        ids: Vec<ContentId>,
    },
    /// A page of the catalogue.
    FileList {
        /// Echoed by the answer.
        q: u32,
        /// Words that must all occur in a name; several queries are separated by `|`. Empty: all.
        query: String,
        /// Where the last page ended; empty for the first.
        cursor: Vec<u8>,
        /// Rows wanted, at most 500.
        limit: u16,
        /// In which order.
        sort: Sort,
    },
    /// Who has a content.
    FileLocations {
        /// Echoed by the answer.
        q: u32,
        /// The content.
        id: ContentId,
        /// Sources wanted, at most 200.
        want: u16,
    },
    /// Chunks verified since the last one; one-way.
    ChunkRegister {
        /// At most 256.
        files: Vec<ChunkUpdate>,
    },
    /// Leaves the network but keeps the connection's right to come back; answered by `Done`.
    Leave {
        /// Echoed by the answer.
        q: u32,
    },
    /// Subscribes to pushes; adds to what is watched.
    Watch {
        /// Echoed by the answer.
        q: u32,
        /// Watch the catalogue from now on.
        catalogue: bool,
        /// Watch the sources of these.
        ids: Vec<ContentId>,
    },
    /// Ends subscriptions; one-way.
    Unwatch {
        /// Stop watching the catalogue.
        catalogue: bool,
        /// Stop watching the sources of these.
        ids: Vec<ContentId>,
    },
    /// Are you there?
    Ping {
        /// Echoed by the answer.
        q: u32,
    },
}

/// Tracker to peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Answer to `Hello`.
    Welcome(Welcome),
    /// The request was carried out (for `Register`: it is on disk).
    Done {
        /// Which request.
        q: u32,
    },
    /// Answer to `FileList`.
    Files {
        /// Which request.
        q: u32,
        /// Rows in the asked order.
        rows: Vec<FileRow>,
        /// Rows that match in all.
        total: u32,
        /// For the next page; empty at the end.
        cursor: Vec<u8>,
    },
    /// Answer to `FileLocations`.
    Locations {
        /// Which request.
        q: u32,
        /// The content.
        id: ContentId,
        /// What is known of it, if anything.
        meta: Option<FileMeta>,
        /// A random subset of its sources, without the asking peer.
        sources: Vec<Source>,
        /// Connected peers that have all of it (the asking one too).
        complete: u32,
        /// Connected peers that have part of it (the asking one too).
        partial: u32,
    },
    /// Push: the catalogue changed.
    CatalogueDelta {
        /// New or changed rows.
        upserts: Vec<FileRow>,
        /// Rows that are gone.
        removes: Vec<ContentId>,
        /// Too much was missed: list again.
        resync: bool,
    },
    /// Push: sources of a watched content changed. A source named again replaces what was known.
    SourceDelta {
        /// The content.
        id: ContentId,
        /// New or changed sources.
        joins: Vec<Source>,
        /// Peers that are no longer sources.
        leaves: Vec<PeerId>,
    },
    /// Push: the interval of CHUNK_REGISTER changed.
    Pace {
        /// Milliseconds between two.
        have_interval_ms: u32,
    },
    /// Push: send the full chunk sets (or registrations) of these again; an update was lost.
    Resend {
        /// The contents.
        ids: Vec<ContentId>,
    },
    /// Push: the tracker is going away; reconnect after this many milliseconds.
    Goaway {
        /// Milliseconds to wait.
        delay_ms: u32,
    },
    /// Answer to `Ping`.
    Pong {
        /// Which request.
        q: u32,
    },
    /// The request failed (`q` 0: the connection did).
    Error {
        /// Which request.
        q: u32,
        /// Why.
        code: Code,
        /// For people: what, where, what to do.
        text: String,
        /// For `Rate` and `Busy`: try again after this many milliseconds.
        retry_ms: u32,
    },
}

/// Digest by which a tracker knows a returning peer's shares: SHA-256 over the (id, name) pairs of all
/// complete shares, sorted by id.
pub fn share_digest<'a>(shares: impl IntoIterator<Item = (ContentId, &'a str)>) -> Hash {
    let mut shares: Vec<_> = shares.into_iter().collect();
    shares.sort_unstable();
    let mut text = Vec::with_capacity(shares.len() * 64);
    for (id, name) in shares {
        text.extend_from_slice(id.as_bytes());
        text.extend_from_slice(&(name.len() as u64).to_be_bytes());
        text.extend_from_slice(name.as_bytes());
    }
    sha256_concat(&[b"shoal shares/1", &text])
}

#[derive(Serialize, Deserialize)]
struct RegisterBody {
    q: u32,
    f: Vec<FileMeta>,
    #[serde(default)]
    m: bool,
    #[serde(default)]
    x: bool,
}

#[derive(Serialize, Deserialize)]
struct IdsBody {
    #[serde(default)]
    q: u32,
    #[serde(default)]
    c: bool,
    #[serde(default)]
    i: Vec<ContentId>,
}

#[derive(Serialize, Deserialize)]
struct FileListBody {
    q: u32,
    t: String,
    #[serde(with = "serde_bytes")]
    c: Vec<u8>,
    n: u16,
    s: Sort,
}

#[derive(Serialize, Deserialize)]
struct LocationsBody {
    q: u32,
    i: ContentId,
    n: u16,
}

#[derive(Serialize, Deserialize)]
struct ChunkRegisterBody {
    f: Vec<ChunkUpdate>,
}

#[derive(Serialize, Deserialize)]
struct OnlyQ {
    q: u32,
}

#[derive(Serialize, Deserialize)]
struct FilesBody {
    q: u32,
    f: Vec<FileRow>,
    t: u32,
    #[serde(with = "serde_bytes")]
    c: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct SourcesBody {
    q: u32,
    i: ContentId,
    #[serde(default)]
    m: Option<FileMeta>,
    s: Vec<Source>,
    k: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct CatalogueBody {
    u: Vec<FileRow>,
    r: Vec<ContentId>,
    #[serde(default)]
    x: bool,
}

#[derive(Serialize, Deserialize)]
struct SourceDeltaBody {
    i: ContentId,
    j: Vec<Source>,
    l: Vec<PeerId>,
}

#[derive(Serialize, Deserialize)]
struct MillisBody {
    d: u32,
}

#[derive(Serialize, Deserialize)]
struct ErrorBody {
    q: u32,
    e: u8,
    t: String,
    #[serde(default)]
    d: u32,
}

impl Request {
    /// The frame type.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => 0x01,
            Self::Register { .. } => 0x02,
            Self::Unregister { .. } => 0x03,
            Self::FileList { .. } => 0x04,
            Self::FileLocations { .. } => 0x05,
            Self::ChunkRegister { .. } => 0x06,
            Self::Leave { .. } => 0x07,
            Self::Watch { .. } => 0x08,
            Self::Unwatch { .. } => 0x09,
            Self::Ping { .. } => 0x0a,
        }
    }

    /// The frame body.
    pub fn body(&self) -> Vec<u8> {
        match self {
            Self::Hello(hello) => pack::encode(hello),
            Self::Register { q, files, more, full } => {
                pack::encode(&RegisterBody { q: *q, f: files.clone(), m: *more, x: *full })
            }
            Self::Unregister { q, ids } => {
                pack::encode(&IdsBody { q: *q, c: false, i: ids.clone() })
            }
            Self::FileList { q, query, cursor, limit, sort } => pack::encode(&FileListBody {
                q: *q,
                t: query.clone(),
                c: cursor.clone(),
                n: *limit,
                s: *sort,
            }),
            Self::FileLocations { q, id, want } => {
                pack::encode(&LocationsBody { q: *q, i: *id, n: *want })
            }
            Self::ChunkRegister { files } => pack::encode(&ChunkRegisterBody { f: files.clone() }),
            Self::Leave { q } | Self::Ping { q } => pack::encode(&OnlyQ { q: *q }),
            Self::Watch { q, catalogue, ids } => {
                pack::encode(&IdsBody { q: *q, c: *catalogue, i: ids.clone() })
            }
            Self::Unwatch { catalogue, ids } => {
                pack::encode(&IdsBody { q: 0, c: *catalogue, i: ids.clone() })
            }
        }
    }

    /// Reads a frame. `Ok(None)` is a message of a newer version that may be ignored.
    ///
    /// # Errors
    /// [`WireError`] on anything but exactly one well-formed message within all limits.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, WireError> {
        let request = match kind {
            0x01 => Self::Hello(decode_hello(body)?),
            0x02 => {
                let RegisterBody { q, f, m, x } = pack::decode("Register", body)?;
                bounded(f.len() <= MAX_REGISTER, "Register", "number of files")?;
                f.iter().try_for_each(check_meta)?;
                Self::Register { q, files: f, more: m, full: x }
            }
            0x03 => {
                let IdsBody { q, i, .. } = pack::decode("Unregister", body)?;
                bounded(i.len() <= MAX_REGISTER, "Unregister", "number of files")?;
                Self::Unregister { q, ids: i }
            }
            0x04 => {
                let FileListBody { q, t, c, n, s } = pack::decode("FileList", body)?;
                bounded(t.len() <= MAX_QUERY, "FileList", "query")?;
                bounded(c.len() <= MAX_NAME_LEN * 4 + 64, "FileList", "cursor")?;
                bounded((1..=MAX_LIST_ROWS).contains(&usize::from(n)), "FileList", "limit")?;
                Self::FileList { q, query: t, cursor: c, limit: n, sort: s }
            }
            0x05 => {
                let LocationsBody { q, i, n } = pack::decode("FileLocations", body)?;
                bounded(usize::from(n) <= MAX_LOCATIONS, "FileLocations", "limit")?;
                Self::FileLocations { q, id: i, want: n }
            }
            0x06 => {
                let ChunkRegisterBody { f } = pack::decode("ChunkRegister", body)?;
                bounded(f.len() <= MAX_CHUNK_REGISTER, "ChunkRegister", "number of files")?;
                let fits = f.iter().all(|u| u.chunks <= MAX_FOLDER_CHUNKS && u.total <= u.chunks);
                bounded(fits, "ChunkRegister", "chunk count")?;
                Self::ChunkRegister { files: f }
            }
            0x07 => Self::Leave { q: pack::decode::<OnlyQ>("Leave", body)?.q },
            0x08 => {
                let IdsBody { q, c, i } = pack::decode("Watch", body)?;
                bounded(i.len() <= MAX_WATCHES, "Watch", "number of files")?;
                Self::Watch { q, catalogue: c, ids: i }
            }
            0x09 => {
                let IdsBody { c, i, .. } = pack::decode("Unwatch", body)?;
                bounded(i.len() <= MAX_WATCHES, "Unwatch", "number of files")?;
                Self::Unwatch { catalogue: c, ids: i }
            }
            0x0a => Self::Ping { q: pack::decode::<OnlyQ>("Ping", body)?.q },
            other if other & IGNORABLE != 0 => return Ok(None),
            other => return Err(WireError::UnknownType(other)),
        };
        Ok(Some(request))
    }
}

impl Reply {
    /// The frame type.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Welcome(_) => 0x41,
            Self::Done { .. } => 0x42,
            Self::Files { .. } => 0x44,
            Self::Locations { .. } => 0x45,
            Self::Pong { .. } => 0x4a,
            Self::CatalogueDelta { .. } => 0x50,
            Self::SourceDelta { .. } => 0x51,
            Self::Pace { .. } => 0x52,
            Self::Resend { .. } => 0x53,
            Self::Goaway { .. } => 0x54,
            Self::Error { .. } => 0x7f,
        }
    }

    /// The frame body.
    pub fn body(&self) -> Vec<u8> {
        match self {
            Self::Welcome(welcome) => pack::encode(welcome),
            Self::Done { q } | Self::Pong { q } => pack::encode(&OnlyQ { q: *q }),
            Self::Files { q, rows, total, cursor } => {
                pack::encode(&FilesBody { q: *q, f: rows.clone(), t: *total, c: cursor.clone() })
            }
            Self::Locations { q, id, meta, sources, complete, partial } => {
                pack::encode(&SourcesBody {
                    q: *q,
                    i: *id,
                    m: meta.clone(),
                    s: sources.clone(),
                    k: *complete,
                    p: *partial,
                })
            }
            Self::CatalogueDelta { upserts, removes, resync } => {
                pack::encode(&CatalogueBody { u: upserts.clone(), r: removes.clone(), x: *resync })
            }
            Self::SourceDelta { id, joins, leaves } => {
                pack::encode(&SourceDeltaBody { i: *id, j: joins.clone(), l: leaves.clone() })
            }
            Self::Pace { have_interval_ms: d } | Self::Goaway { delay_ms: d } => {
                pack::encode(&MillisBody { d: *d })
            }
            Self::Resend { ids } => pack::encode(&IdsBody { q: 0, c: false, i: ids.clone() }),
            Self::Error { q, code, text, retry_ms } => {
                let e = (*code).into();
                pack::encode(&ErrorBody { q: *q, e, t: text.clone(), d: *retry_ms })
            }
        }
    }

    /// Reads a frame. `Ok(None)` is a message of a newer version that may be ignored.
    ///
    /// # Errors
    /// [`WireError`] on anything but exactly one well-formed message within all limits.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, WireError> {
        let reply = match kind {
            0x41 => Self::Welcome(pack::decode("Welcome", body)?),
            0x42 => Self::Done { q: pack::decode::<OnlyQ>("Done", body)?.q },
            0x44 => {
                let FilesBody { q, f, t, c } = pack::decode("Files", body)?;
                bounded(f.len() <= MAX_LIST_ROWS, "Files", "number of rows")?;
                f.iter().try_for_each(check_row)?;
                Self::Files { q, rows: f, total: t, cursor: c }
            }
            0x45 => {
                let SourcesBody { q, i, m, s, k, p } = pack::decode("Locations", body)?;
                bounded(s.len() <= MAX_LOCATIONS, "Locations", "number of sources")?;
                m.iter().try_for_each(check_meta)?;
                s.iter().try_for_each(check_source)?;
                Self::Locations { q, id: i, meta: m, sources: s, complete: k, partial: p }
            }
            0x4a => Self::Pong { q: pack::decode::<OnlyQ>("Pong", body)?.q },
            0x50 => {
                let CatalogueBody { u, r, x } = pack::decode("CatalogueDelta", body)?;
                bounded(u.len() + r.len() <= MAX_DELTA, "CatalogueDelta", "number of rows")?;
                u.iter().try_for_each(check_row)?;
                Self::CatalogueDelta { upserts: u, removes: r, resync: x }
            }
            0x51 => {
                let SourceDeltaBody { i, j, l } = pack::decode("SourceDelta", body)?;
                bounded(j.len() + l.len() <= MAX_DELTA, "SourceDelta", "number of sources")?;
                j.iter().try_for_each(check_source)?;
                Self::SourceDelta { id: i, joins: j, leaves: l }
            }
            0x52 => Self::Pace { have_interval_ms: pack::decode::<MillisBody>("Pace", body)?.d },
            0x53 => Self::Resend { ids: pack::decode::<IdsBody>("Resend", body)?.i },
            0x54 => Self::Goaway { delay_ms: pack::decode::<MillisBody>("Goaway", body)?.d },
            0x7f => {
                let ErrorBody { q, e, t, d } = pack::decode("Error", body)?;
                bounded(t.len() <= MAX_TEXT, "Error", "text")?;
                Self::Error { q, code: e.into(), text: t, retry_ms: d }
            }
            other if other & IGNORABLE != 0 => return Ok(None),
            other => return Err(WireError::UnknownType(other)),
        };
        Ok(Some(reply))
    }
}

fn decode_hello(body: &[u8]) -> Result<Hello, WireError> {
    let hello: Hello = pack::decode("Hello", body)?;
    bounded(hello.versions.0 <= hello.versions.1, "Hello", "versions")?;
    bounded(hello.agent.len() <= MAX_AGENT, "Hello", "agent")?;
    bounded(hello.nick.len() <= MAX_NICK, "Hello", "nick")?;
    bounded(hello.local.len() <= MAX_ADDRS, "Hello", "number of addresses")?;
    Ok(hello)
}

fn check_meta(meta: &FileMeta) -> Result<(), WireError> {
    bounded(meta.descriptor.is_sane(), "file", "size")?;
    bounded((1..=MAX_NAME_LEN).contains(&meta.name.len()), "file", "name")?;
    bounded(meta.chunks <= MAX_FOLDER_CHUNKS, "file", "chunk count")
}

fn check_row(row: &FileRow) -> Result<(), WireError> {
    check_meta(&row.meta)?;
    bounded(row.aliases.len() <= MAX_ALIASES, "file", "number of names")?;
    bounded(row.aliases.iter().all(|name| name.len() <= MAX_NAME_LEN), "file", "name")
}

fn check_source(source: &Source) -> Result<(), WireError> {
    bounded(source.addrs.len() <= MAX_ADDRS, "source", "number of addresses")?;
    bounded(source.nick.len() <= MAX_NICK, "source", "nick")?;
    bounded(source.have <= MAX_FOLDER_CHUNKS, "source", "chunk count")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_ignores_order_but_not_names() {
        let (a, b) = (ContentId::from_bytes([1; 32]), ContentId::from_bytes([2; 32]));
        assert_eq!(share_digest([(a, "x"), (b, "y")]), share_digest([(b, "y"), (a, "x")]));
        assert_ne!(share_digest([(a, "x"), (b, "y")]), share_digest([(a, "y"), (b, "x")]));
        assert_ne!(share_digest([(a, "x")]), share_digest([]));
    }
}
