//! What a tracker answers, and what it pushes unasked.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::super::{Code, IGNORABLE, WireError, bounded, pack};
use super::parts::{
    check_found, check_member, check_meta, check_row, check_source, decode_welcome,
};
use super::{Counts, FileMeta, FileRow, FoundRow, IdsBody, Member, OnlyQ, Source, Welcome};
use crate::id::{ContentId, PeerId};
use crate::limits::{
    MAX_COUNTS, MAX_DELTA, MAX_FIND_ROWS, MAX_LIST_ROWS, MAX_LOCATIONS, MAX_MEMBERS, MAX_NICK,
    MAX_REGISTER, MAX_TEXT,
};
use crate::relay::Token;
use crate::revoked::MAX_REVOKED_LEN;

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
        /// Rows that matched in all when the first page was made.
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
    /// Answer to `Members`.
    Members {
        /// Which request.
        q: u32,
        /// By nick.
        members: Vec<Member>,
        /// Members there are in all, whatever was asked for.
        total: u32,
        /// For the next page; empty at the end.
        cursor: Vec<u8>,
    },
    /// Answer to `Also`.
    Seen {
        /// Which request.
        q: u32,
        /// Where the tracker saw it come from.
        observed: SocketAddr,
    },
    /// Answer to `OfferNames`.
    NamesWanted {
        /// Which request.
        q: u32,
        /// Folders whose lists of files are to be given: those of which the tracker has no names.
        ids: Vec<ContentId>,
    },
    /// Answer to `Find`.
    Found {
        /// Which request.
        q: u32,
        /// Those with most sources first.
        rows: Vec<FoundRow>,
        /// There may be more.
        more: bool,
    },
    /// Push: the catalogue changed.
    CatalogueDelta {
        /// New or changed rows.
        upserts: Vec<FileRow>,
        /// Rows that are gone.
        removes: Vec<ContentId>,
        /// Too much was missed: list again.
        resync: bool,
        /// New numbers of rows that are otherwise as they were; only to who said in
        /// [`Hello`](super::Hello) that it understands them.
        counts: Vec<Counts>,
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
    /// Push: whether the tracker could connect to the peer where it sees it. Older peers skip this.
    Reach {
        /// It could.
        reachable: bool,
        /// At which port, or at which of those it looked at last; older trackers do not say it, and look at the one of
        /// HELLO alone.
        port: Option<u16>,
    },
    /// Push: a peer that wants a content from us cannot reach us, and asks to be dialled. Older peers skip this.
    Dial {
        /// The content.
        id: ContentId,
        /// Who, and where.
        who: Source,
    },
    /// Push: connect to the tracker, where this connection leads, and begin with the token: what comes then is from a
    /// peer, and what is sent goes to it. Older peers skip this.
    Relay {
        /// The content that one of the two wants.
        id: ContentId,
        /// Who is at the other end; its name for itself.
        peer: (PeerId, String),
        /// For one use, within ten seconds.
        token: Token,
        /// Whether it is the reader that dials: it is the client of TLS, and knows whom to expect.
        dials: bool,
    },
    /// Push: a peer and the reader call each other at the same time, each out of the port it listens on, so that routers
    /// on both sides take the other's call for an answer. Only to who said that it [does so](super::Hello::punches).
    Punch {
        /// The content that one of the two wants.
        id: ContentId,
        /// Who, and where: addresses that lead through its router, if it calls too.
        who: Source,
        /// Milliseconds from the moment in which this was sent until both call.
        wait_ms: u16,
    },
    /// Push: keys that are let in no more, and whom nobody in the network should talk to ([`crate::revoked`]). It takes the
    /// place of the list before. Older peers skip this.
    Revoked {
        /// As the tracker signed it.
        signed: Vec<u8>,
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

#[derive(Serialize, Deserialize)]
struct FilesBody {
    q: u32,
    f: Vec<FileRow>,
    t: u32,
    #[serde(with = "serde_bytes")]
    c: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct MembersBody {
    q: u32,
    m: Vec<Member>,
    t: u32,
    #[serde(with = "serde_bytes")]
    c: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct SeenBody {
    q: u32,
    y: SocketAddr,
}

#[derive(Serialize, Deserialize)]
struct WantedBody {
    q: u32,
    i: Vec<ContentId>,
}

#[derive(Serialize, Deserialize)]
struct FoundBody {
    q: u32,
    f: Vec<FoundRow>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    m: bool,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "super::counts")]
    n: Vec<Counts>,
}

#[derive(Serialize, Deserialize)]
struct SourceDeltaBody {
    i: ContentId,
    j: Vec<Source>,
    l: Vec<PeerId>,
}

#[derive(Serialize, Deserialize)]
struct ReachBody {
    r: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<u16>,
}

#[derive(Serialize, Deserialize)]
struct DialBody {
    i: ContentId,
    s: Source,
}

#[derive(Serialize, Deserialize)]
struct RelayBody {
    i: ContentId,
    k: PeerId,
    n: String,
    t: Token,
    c: bool,
}

#[derive(Serialize, Deserialize)]
struct PunchBody {
    i: ContentId,
    s: Source,
    d: u16,
}

#[derive(Serialize, Deserialize)]
struct SignedBody {
    #[serde(with = "serde_bytes")]
    s: Vec<u8>,
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

impl Reply {
    /// The frame type.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Welcome(_) => 0x41,
            Self::Done { .. } => 0x42,
            Self::Files { .. } => 0x44,
            Self::Locations { .. } => 0x45,
            Self::Pong { .. } => 0x4a,
            Self::Members { .. } => 0x4b,
            Self::Seen { .. } => 0x4d,
            Self::NamesWanted { .. } => 0x4e,
            Self::Found { .. } => 0x4f,
            Self::CatalogueDelta { .. } => 0x50,
            Self::SourceDelta { .. } => 0x51,
            Self::Pace { .. } => 0x52,
            Self::Resend { .. } => 0x53,
            Self::Goaway { .. } => 0x54,
            Self::Error { .. } => 0x7f,
            Self::Reach { .. } => 0x55 | IGNORABLE,
            Self::Dial { .. } => 0x56 | IGNORABLE,
            Self::Relay { .. } => 0x57 | IGNORABLE,
            Self::Punch { .. } => 0x58 | IGNORABLE,
            Self::Revoked { .. } => 0x59 | IGNORABLE,
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
            Self::Members { q, members, total, cursor } => pack::encode(&MembersBody {
                q: *q,
                m: members.clone(),
                t: *total,
                c: cursor.clone(),
            }),
            Self::Seen { q, observed } => pack::encode(&SeenBody { q: *q, y: *observed }),
            Self::NamesWanted { q, ids } => pack::encode(&WantedBody { q: *q, i: ids.clone() }),
            Self::Found { q, rows, more } => {
                pack::encode(&FoundBody { q: *q, f: rows.clone(), m: *more })
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
            Self::CatalogueDelta { upserts, removes, resync, counts } => {
                let (u, r, n) = (upserts.clone(), removes.clone(), counts.clone());
                pack::encode(&CatalogueBody { u, r, x: *resync, n })
            }
            Self::SourceDelta { id, joins, leaves } => {
                pack::encode(&SourceDeltaBody { i: *id, j: joins.clone(), l: leaves.clone() })
            }
            Self::Pace { have_interval_ms: d } | Self::Goaway { delay_ms: d } => {
                pack::encode(&MillisBody { d: *d })
            }
            Self::Reach { reachable, port } => pack::encode(&ReachBody { r: *reachable, p: *port }),
            Self::Dial { id, who } => pack::encode(&DialBody { i: *id, s: who.clone() }),
            Self::Relay { id, peer: (peer, nick), token, dials } => {
                pack::encode(&RelayBody { i: *id, k: *peer, n: nick.clone(), t: *token, c: *dials })
            }
            Self::Punch { id, who, wait_ms } => {
                pack::encode(&PunchBody { i: *id, s: who.clone(), d: *wait_ms })
            }
            Self::Revoked { signed } => pack::encode(&SignedBody { s: signed.clone() }),
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
            0x41 => Self::Welcome(decode_welcome(body)?),
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
            0x4b => {
                let MembersBody { q, m, t, c } = pack::decode("Members", body)?;
                bounded(m.len() <= MAX_MEMBERS, "Members", "number of members")?;
                m.iter().try_for_each(check_member)?;
                Self::Members { q, members: m, total: t, cursor: c }
            }
            0x4d => {
                let SeenBody { q, y } = pack::decode("Seen", body)?;
                Self::Seen { q, observed: y }
            }
            0x4e | 0x4f => Self::decode_inside(kind, body)?,
            0x50 => {
                let CatalogueBody { u, r, x, n } = pack::decode("CatalogueDelta", body)?;
                bounded(u.len() + r.len() <= MAX_DELTA, "CatalogueDelta", "number of rows")?;
                u.iter().try_for_each(check_row)?;
                bounded(n.len() <= MAX_COUNTS, "CatalogueDelta", "number of counts")?;
                Self::CatalogueDelta { upserts: u, removes: r, resync: x, counts: n }
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
            0xd5 => {
                let ReachBody { r, p } = pack::decode("Reach", body)?;
                Self::Reach { reachable: r, port: p }
            }
            0xd6 => {
                let DialBody { i, s } = pack::decode("Dial", body)?;
                check_source(&s)?;
                Self::Dial { id: i, who: s }
            }
            0xd7 => {
                let RelayBody { i, k, n, t, c } = pack::decode("Relay", body)?;
                bounded(n.len() <= MAX_NICK, "Relay", "nick")?;
                Self::Relay { id: i, peer: (k, n), token: t, dials: c }
            }
            0xd8 => {
                let PunchBody { i, s, d } = pack::decode("Punch", body)?;
                check_source(&s)?;
                Self::Punch { id: i, who: s, wait_ms: d }
            }
            0xd9 => {
                let SignedBody { s } = pack::decode("Revoked", body)?;
                bounded(s.len() <= MAX_REVOKED_LEN, "Revoked", "list")?;
                Self::Revoked { signed: s }
            }
            other if other & IGNORABLE != 0 => return Ok(None),
            other => return Err(WireError::UnknownType(other)),
        };
        Ok(Some(reply))
    }

    /// The same for answers about what is inside folders.
    fn decode_inside(kind: u8, body: &[u8]) -> Result<Self, WireError> {
        Ok(match kind {
            0x4e => {
                let WantedBody { q, i } = pack::decode("NamesWanted", body)?;
                bounded(i.len() <= MAX_REGISTER, "NamesWanted", "number of folders")?;
                Self::NamesWanted { q, ids: i }
            }
            0x4f => {
                let FoundBody { q, f, m } = pack::decode("Found", body)?;
                bounded(f.len() <= MAX_FIND_ROWS, "Found", "number of rows")?;
                f.iter().try_for_each(check_found)?;
                Self::Found { q, rows: f, more: m }
            }
            other => return Err(WireError::UnknownType(other)),
        })
    }
}
