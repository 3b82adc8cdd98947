//! What a peer asks of its tracker.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::super::{IGNORABLE, WireError, bounded, pack};
use super::parts::{check_meta, decode_hello};
use super::{ChunkUpdate, FileMeta, Hello, IdsBody, OnlyQ, Sort};
use crate::id::{ContentId, PeerId};
use crate::limits::{
    MAX_ADDRS, MAX_CHUNK_REGISTER, MAX_FIND_ROWS, MAX_FOLDER_CHUNKS, MAX_INSIDE_PACKED,
    MAX_LIST_ROWS, MAX_LOCATIONS, MAX_MEMBER_CURSOR, MAX_MEMBERS, MAX_NAME_LEN, MAX_QUERY,
    MAX_REGISTER, MAX_WATCHES,
};

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
        /// Words that must all occur in a name; several queries are separated by `|`. Empty: all. At most
        /// [`MAX_QUERY_ALTERNATIVES`](crate::limits::MAX_QUERY_ALTERNATIVES) and
        /// [`MAX_QUERY_WORDS`](crate::limits::MAX_QUERY_WORDS): more is refused with `Limit`.
        query: String,
        /// Where the last page ended, of the same query and order; empty for the first. Older trackers have further
        /// pages in [`Sort::Name`] only.
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
    /// A page of who is in the network, by nick; only to a tracker that
    /// [lists members](super::Welcome::lists_members).
    Members {
        /// Echoed by the answer.
        q: u32,
        /// Part of a nick, or the beginning of a key. Empty: all.
        query: String,
        /// Where the last page ended; empty for the first.
        cursor: Vec<u8>,
        /// Members wanted, at most 200.
        limit: u16,
    },
    /// A page of what one member has registered, in an order that the tracker keeps; only to a tracker that
    /// [lists members](super::Welcome::lists_members). Answered by `Files`, whose page may be short, or
    /// even empty, before the end.
    MemberFiles {
        /// Echoed by the answer.
        q: u32,
        /// Whose.
        peer: PeerId,
        /// Where the last page ended; empty for the first.
        cursor: Vec<u8>,
        /// Rows wanted, at most 500.
        limit: u16,
    },
    /// The first and only message of a second connection, over the other of IPv4 and IPv6: the sender of HELLO, which
    /// TLS has proven to be the same, can be reached from there too. Answered by `Seen`, or by an error if its HELLO has
    /// not been answered by WELCOME.
    Also {
        /// Echoed by the answer.
        q: u32,
    },
    /// A source that was told of cannot be reached: have it dial the sender; one-way. Only to a tracker that
    /// understands [`Request::Also`].
    DialMe {
        /// Of which content it is a source.
        id: ContentId,
        /// Which source.
        peer: PeerId,
    },
    /// Neither the sender nor a source that it was told of reaches the other: connect them through the tracker; one-way.
    /// Only to a tracker that [relays](super::Welcome::relays).
    Relay {
        /// Of which content it is a source.
        id: ContentId,
        /// Which source.
        peer: PeerId,
    },
    /// The sender's addresses in its own network are others now; one-way. Only to a tracker that understands
    /// [`Request::Also`].
    Addresses {
        /// As [`Hello::local`].
        local: Vec<SocketAddr>,
    },
    /// Folders that the sender has registered, the names of whose files it may tell, or may no longer; answered by
    /// [`Reply::NamesWanted`](super::Reply::NamesWanted). Only to a tracker that
    /// [looks inside](super::Welcome::looks_inside).
    OfferNames {
        /// Echoed by the answer.
        q: u32,
        /// At most 256.
        ids: Vec<ContentId>,
        /// Names of these that the sender told are to be found no longer.
        withdraw: bool,
    },
    /// The list of a folder's files, whose names the folder is found by from now on; answered by `Done` once it is on
    /// disk. Only to a tracker that [looks inside](super::Welcome::looks_inside), and for what it wants.
    GiveNames {
        /// Echoed by the answer.
        q: u32,
        /// The folder.
        id: ContentId,
        /// As [`crate::inside::pack_manifest`] packs it.
        manifest: Vec<u8>,
    },
    /// Folders in which a file has these words in its path, some of them perhaps in the folder's name instead; answered
    /// by `Found`. Only to a tracker that [looks inside](super::Welcome::looks_inside).
    Find {
        /// Echoed by the answer.
        q: u32,
        /// As of [`Request::FileList`]; of each alternative one word at least has three bytes or more.
        query: String,
        /// Rows wanted, at most 100.
        limit: u16,
    },
    /// Are you there?
    Ping {
        /// Echoed by the answer.
        q: u32,
    },
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
struct FileListBody {
    q: u32,
    t: String,
    #[serde(with = "serde_bytes")]
    c: Vec<u8>,
    n: u16,
    s: Sort,
}

#[derive(Serialize, Deserialize)]
struct MembersBody {
    q: u32,
    t: String,
    #[serde(with = "serde_bytes")]
    c: Vec<u8>,
    n: u16,
}

#[derive(Serialize, Deserialize)]
struct AddressesBody {
    d: Vec<SocketAddr>,
}

#[derive(Serialize, Deserialize)]
struct DialMeBody {
    i: ContentId,
    k: PeerId,
}

#[derive(Serialize, Deserialize)]
struct MemberFilesBody {
    q: u32,
    k: PeerId,
    #[serde(with = "serde_bytes")]
    c: Vec<u8>,
    n: u16,
}

#[derive(Serialize, Deserialize)]
struct LocationsBody {
    q: u32,
    i: ContentId,
    n: u16,
}

#[derive(Serialize, Deserialize)]
struct OfferBody {
    q: u32,
    i: Vec<ContentId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    x: bool,
}

#[derive(Serialize, Deserialize)]
struct GiveBody {
    q: u32,
    i: ContentId,
    #[serde(with = "serde_bytes")]
    m: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct FindBody {
    q: u32,
    t: String,
    n: u16,
}

#[derive(Serialize, Deserialize)]
struct ChunkRegisterBody {
    f: Vec<ChunkUpdate>,
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
            Self::Members { .. } => 0x0b,
            Self::MemberFiles { .. } => 0x0c,
            Self::Also { .. } => 0x0d,
            Self::DialMe { .. } => 0x0e,
            Self::Relay { .. } => 0x0f,
            Self::Addresses { .. } => 0x10,
            Self::OfferNames { .. } => 0x11,
            Self::GiveNames { .. } => 0x12,
            Self::Find { .. } => 0x13,
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
            Self::Members { q, query, cursor, limit } => {
                pack::encode(&MembersBody { q: *q, t: query.clone(), c: cursor.clone(), n: *limit })
            }
            Self::MemberFiles { q, peer, cursor, limit } => {
                pack::encode(&MemberFilesBody { q: *q, k: *peer, c: cursor.clone(), n: *limit })
            }
            Self::DialMe { id, peer } | Self::Relay { id, peer } => {
                pack::encode(&DialMeBody { i: *id, k: *peer })
            }
            Self::Addresses { local } => pack::encode(&AddressesBody { d: local.clone() }),
            Self::OfferNames { q, ids, withdraw } => {
                pack::encode(&OfferBody { q: *q, i: ids.clone(), x: *withdraw })
            }
            Self::GiveNames { q, id, manifest } => {
                pack::encode(&GiveBody { q: *q, i: *id, m: manifest.clone() })
            }
            Self::Find { q, query, limit } => {
                pack::encode(&FindBody { q: *q, t: query.clone(), n: *limit })
            }
            Self::FileLocations { q, id, want } => {
                pack::encode(&LocationsBody { q: *q, i: *id, n: *want })
            }
            Self::ChunkRegister { files } => pack::encode(&ChunkRegisterBody { f: files.clone() }),
            Self::Leave { q } | Self::Also { q } | Self::Ping { q } => {
                pack::encode(&OnlyQ { q: *q })
            }
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
            0x0b => {
                let MembersBody { q, t, c, n } = pack::decode("Members", body)?;
                bounded(t.len() <= MAX_QUERY, "Members", "query")?;
                bounded(c.len() <= MAX_MEMBER_CURSOR, "Members", "cursor")?;
                bounded((1..=MAX_MEMBERS).contains(&usize::from(n)), "Members", "limit")?;
                Self::Members { q, query: t, cursor: c, limit: n }
            }
            0x0c => {
                let MemberFilesBody { q, k, c, n } = pack::decode("MemberFiles", body)?;
                bounded(c.len() <= MAX_MEMBER_CURSOR, "MemberFiles", "cursor")?;
                bounded((1..=MAX_LIST_ROWS).contains(&usize::from(n)), "MemberFiles", "limit")?;
                Self::MemberFiles { q, peer: k, cursor: c, limit: n }
            }
            0x0d => Self::Also { q: pack::decode::<OnlyQ>("Also", body)?.q },
            0x0e => {
                let DialMeBody { i, k } = pack::decode("DialMe", body)?;
                Self::DialMe { id: i, peer: k }
            }
            0x0f => {
                let DialMeBody { i, k } = pack::decode("Relay", body)?;
                Self::Relay { id: i, peer: k }
            }
            0x10 => {
                let AddressesBody { d } = pack::decode("Addresses", body)?;
                bounded(d.len() <= MAX_ADDRS, "Addresses", "number of addresses")?;
                Self::Addresses { local: d }
            }
            0x11..=0x13 => Self::decode_inside(kind, body)?,
            other if other & IGNORABLE != 0 => return Ok(None),
            other => return Err(WireError::UnknownType(other)),
        };
        Ok(Some(request))
    }

    /// The same for messages about what is inside folders.
    fn decode_inside(kind: u8, body: &[u8]) -> Result<Self, WireError> {
        Ok(match kind {
            0x11 => {
                let OfferBody { q, i, x } = pack::decode("OfferNames", body)?;
                bounded(i.len() <= MAX_REGISTER, "OfferNames", "number of folders")?;
                Self::OfferNames { q, ids: i, withdraw: x }
            }
            0x12 => {
                let GiveBody { q, i, m } = pack::decode("GiveNames", body)?;
                bounded(m.len() <= MAX_INSIDE_PACKED, "GiveNames", "list of files")?;
                Self::GiveNames { q, id: i, manifest: m }
            }
            0x13 => {
                let FindBody { q, t, n } = pack::decode("Find", body)?;
                bounded(t.len() <= MAX_QUERY, "Find", "query")?;
                bounded((1..=MAX_FIND_ROWS).contains(&usize::from(n)), "Find", "limit")?;
                Self::Find { q, query: t, limit: n }
            }
            other => return Err(WireError::UnknownType(other)),
        })
    }
}
