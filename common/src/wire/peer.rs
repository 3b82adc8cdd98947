//! Messages between peers (protocol.md 5.1).
//!
//! `h` is a content handle: the dialling side gives out even numbers, the accepting side odd ones.
//! DATA is not part of [`PeerMsg`]: its payload goes from the socket straight into a pooled buffer,
//! so a reader looks at the frame type first ([`DATA`]) and reads a [`DataHeader`].

use serde::{Deserialize, Serialize};

use super::binary::{Reader, Writer};
use super::{Code, IGNORABLE, WireError, bounded, pack};
use crate::content::Descriptor;
use crate::id::{ContentId, Hash};
use crate::limits::{
    MAX_AGENT, MAX_DATA_LEN, MAX_HASHES, MAX_HAVE_RUNS, MAX_MEMBERSHIP, MAX_PROOF, MAX_REQ_ANY,
    MAX_REQ_ANY_EXCLUDES, MAX_TEXT,
};

/// Frame type of DATA.
pub const DATA: u8 = 0x20;
/// Frame type of RECALL: who does not know it may ignore it, the request just stays where it is.
const RECALL: u8 = 0x26 | IGNORABLE;

/// How much of a content somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum HaveState {
    /// Nothing yet.
    None,
    /// Some chunks; BITFIELD follows.
    Part,
    /// All chunks.
    All,
}

impl From<HaveState> for u8 {
    fn from(state: HaveState) -> Self {
        state as Self
    }
}

impl TryFrom<u8> for HaveState {
    type Error = String;

    fn try_from(byte: u8) -> Result<Self, Self::Error> {
        match byte {
            0 => Ok(Self::None),
            1 => Ok(Self::Part),
            2 => Ok(Self::All),
            other => Err(format!("unknown have state {other}")),
        }
    }
}

/// First message both ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Lowest and highest protocol version spoken.
    #[serde(rename = "v")]
    pub versions: (u8, u8),
    /// Program and version.
    #[serde(rename = "a")]
    pub agent: String,
    /// Signed membership (see [`crate::membership`]).
    #[serde(rename = "m", with = "serde_bytes")]
    pub membership: Vec<u8>,
    /// Port this peer listens on; 0 if it cannot be reached.
    #[serde(rename = "p")]
    pub port: u16,
    /// Feature bits; unknown ones are ignored.
    #[serde(rename = "f", default)]
    pub features: u64,
    /// Most bytes this peer lets one other peer have queued.
    #[serde(rename = "q")]
    pub max_queued: u32,
}

/// "Let us exchange this content."
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Handle chosen by the sender.
    #[serde(rename = "h")]
    pub handle: u16,
    /// Which content.
    #[serde(rename = "i")]
    pub id: ContentId,
    /// How much of it the sender has.
    #[serde(rename = "s")]
    pub state: HaveState,
    /// Whether the sender wants chunks.
    #[serde(rename = "w")]
    pub want: bool,
}

/// Answer to [`Open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOk {
    /// The handle of the OPEN.
    #[serde(rename = "h")]
    pub handle: u16,
    /// Kind, size and root; must reproduce the content id.
    #[serde(rename = "d")]
    pub descriptor: Descriptor,
    /// How much of it the sender has.
    #[serde(rename = "s")]
    pub state: HaveState,
    /// Whether the sender wants chunks.
    #[serde(rename = "w")]
    pub want: bool,
}

#[derive(Serialize, Deserialize)]
struct OpenNoBody {
    h: u16,
    e: u8,
}

#[derive(Serialize, Deserialize)]
struct CloseBody {
    h: u16,
}

#[derive(Serialize, Deserialize)]
struct ByeBody {
    e: u8,
    #[serde(default)]
    t: String,
}

/// A run of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First chunk.
    pub start: u32,
    /// How many.
    pub len: u16,
}

/// Every message but DATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerMsg {
    /// First message both ways.
    Hello(Hello),
    /// Opens a content on this connection.
    Open(Open),
    /// It is open.
    OpenOk(OpenOk),
    /// It is not, and why.
    OpenNo {
        /// The handle of the OPEN.
        handle: u16,
        /// Why not.
        code: Code,
    },
    /// The content is no longer exchanged; its requests end with REJECT(gone).
    Close {
        /// The content's handle.
        handle: u16,
    },
    /// Which chunks the sender has, as [`crate::chunk_set::ChunkSet`] encodes them; sent once after
    /// the content was opened, when the sender's state is `Part`.
    Bitfield {
        /// The content's handle.
        handle: u16,
        /// Encoded chunk set, at most 2^21 bits.
        set: Vec<u8>,
    },
    /// New chunks since.
    Have {
        /// The content's handle.
        handle: u16,
        /// Runs of new chunks.
        runs: Vec<Run>,
    },
    /// Chunks that turned out to be lost or damaged.
    DontHave {
        /// The content's handle.
        handle: u16,
        /// Runs of lost chunks.
        runs: Vec<Run>,
    },
    /// Interested or not.
    Want {
        /// The content's handle.
        handle: u16,
        /// Whether the sender wants chunks of the receiver.
        want: bool,
    },
    /// Choked or not; on choke every queued request is rejected.
    Choke {
        /// The content's handle.
        handle: u16,
        /// Whether the receiver may no longer request.
        choke: bool,
    },
    /// Asks for bytes of one chunk.
    Request {
        /// The content's handle.
        handle: u16,
        /// The requester's number for this request.
        rid: u32,
        /// Chunk number.
        chunk: u32,
        /// First byte within the chunk.
        off: u32,
        /// How many bytes.
        len: u32,
    },
    /// Asks for any `count` chunks; the sender chooses (uploader-side assignment). Uses request
    /// numbers `rid .. rid + count`.
    ReqAny {
        /// The content's handle.
        handle: u16,
        /// First request number.
        rid: u32,
        /// How many chunks.
        count: u8,
        /// Chunks not to choose: in flight elsewhere.
        except: Vec<u32>,
    },
    /// Which chunk the sender chose for a request of REQ_ANY.
    Assign {
        /// Request number.
        rid: u32,
        /// Chunk number.
        chunk: u32,
    },
    /// The request is no longer needed.
    Cancel {
        /// Request number.
        rid: u32,
    },
    /// If the request is still waiting, it is to end with REJECT; once begun it goes on. It can then be
    /// asked of somebody else without anything being sent twice.
    Recall {
        /// Request number.
        rid: u32,
    },
    /// The request will not be (further) served.
    Reject {
        /// Request number.
        rid: u32,
        /// Why.
        code: Code,
    },
    /// Asks for tree hashes of one file.
    HashReq {
        /// The content's handle.
        handle: u16,
        /// Request number.
        rid: u32,
        /// File within the content (0 for a single file).
        file: u32,
        /// Tree level: 0 blocks, otherwise the content's chunk level.
        level: u8,
        /// First hash at that level; aligned to `count`.
        index: u32,
        /// How many; a power of two.
        count: u16,
    },
    /// Answer to [`PeerMsg::HashReq`].
    Hashes {
        /// Request number.
        rid: u32,
        /// The hashes asked for.
        hashes: Vec<Hash>,
        /// Uncles from the range's subtree up to the root.
        proof: Vec<Hash>,
    },
    /// Asks for bytes of a folder's manifest; answered by DATA.
    MetaReq {
        /// The content's handle.
        handle: u16,
        /// Request number.
        rid: u32,
        /// First byte of the manifest.
        off: u32,
        /// How many bytes.
        len: u32,
    },
    /// A chunk from the receiver failed verification.
    Corrupt {
        /// The content's handle.
        handle: u16,
        /// Chunk number.
        chunk: u32,
        /// Hash of what arrived.
        bad: Hash,
    },
    /// Are you there?
    Ping(u64),
    /// Yes.
    Pong(u64),
    /// The connection ends.
    Bye {
        /// Why.
        code: Code,
        /// For people; to be escaped before it is shown.
        text: String,
    },
}

impl PeerMsg {
    /// The frame type.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => 0x01,
            Self::Open(_) => 0x02,
            Self::OpenOk(_) => 0x03,
            Self::OpenNo { .. } => 0x04,
            Self::Close { .. } => 0x05,
            Self::Bitfield { .. } => 0x10,
            Self::Have { .. } => 0x11,
            Self::DontHave { .. } => 0x12,
            Self::Want { .. } => 0x13,
            Self::Choke { .. } => 0x14,
            Self::Request { .. } => 0x21,
            Self::ReqAny { .. } => 0x22,
            Self::Assign { .. } => 0x23,
            Self::Cancel { .. } => 0x24,
            Self::Reject { .. } => 0x25,
            Self::Recall { .. } => RECALL,
            Self::HashReq { .. } => 0x30,
            Self::Hashes { .. } => 0x31,
            Self::Corrupt { .. } => 0x32,
            Self::MetaReq { .. } => 0x33,
            Self::Ping(_) => 0x40,
            Self::Pong(_) => 0x41,
            Self::Bye { .. } => 0x7f,
        }
    }

    /// The frame body.
    pub fn body(&self) -> Vec<u8> {
        let w = Writer::default();
        match self {
            Self::Hello(hello) => pack::encode(hello),
            Self::Open(open) => pack::encode(open),
            Self::OpenOk(ok) => pack::encode(ok),
            Self::OpenNo { handle, code } => {
                pack::encode(&OpenNoBody { h: *handle, e: (*code).into() })
            }
            Self::Close { handle } => pack::encode(&CloseBody { h: *handle }),
            Self::Bitfield { handle, set } => w.u16(*handle).bytes(set).done(),
            Self::Have { handle, runs } | Self::DontHave { handle, runs } => {
                let mut w = w.u16(*handle).u16(u16::try_from(runs.len()).unwrap_or(u16::MAX));
                for run in runs {
                    w = w.u32(run.start).u16(run.len);
                }
                w.done()
            }
            Self::Want { handle, want: flag } | Self::Choke { handle, choke: flag } => {
                w.u16(*handle).u8(u8::from(*flag)).done()
            }
            Self::Request { handle, rid, chunk, off, len } => {
                w.u16(*handle).u32(*rid).u32(*chunk).u32(*off).u32(*len).done()
            }
            Self::ReqAny { handle, rid, count, except } => {
                let n = u16::try_from(except.len()).unwrap_or(u16::MAX);
                let mut w = w.u16(*handle).u32(*rid).u8(*count).u16(n);
                for chunk in except {
                    w = w.u32(*chunk);
                }
                w.done()
            }
            Self::Assign { rid, chunk } => w.u32(*rid).u32(*chunk).done(),
            Self::Cancel { rid } | Self::Recall { rid } => w.u32(*rid).done(),
            Self::Reject { rid, code } => w.u32(*rid).u8((*code).into()).done(),
            Self::HashReq { handle, rid, file, level, index, count } => {
                w.u16(*handle).u32(*rid).u32(*file).u8(*level).u32(*index).u16(*count).done()
            }
            Self::Hashes { rid, hashes, proof } => {
                let mut w = w
                    .u32(*rid)
                    .u16(u16::try_from(hashes.len()).unwrap_or(u16::MAX))
                    .u8(u8::try_from(proof.len()).unwrap_or(u8::MAX));
                for hash in hashes.iter().chain(proof) {
                    w = w.bytes(hash.as_bytes());
                }
                w.done()
            }
            Self::MetaReq { handle, rid, off, len } => {
                w.u16(*handle).u32(*rid).u32(*off).u32(*len).done()
            }
            Self::Corrupt { handle, chunk, bad } => {
                w.u16(*handle).u32(*chunk).bytes(bad.as_bytes()).done()
            }
            Self::Ping(nonce) | Self::Pong(nonce) => w.u64(*nonce).done(),
            Self::Bye { code, text } => {
                pack::encode(&ByeBody { e: (*code).into(), t: text.clone() })
            }
        }
    }

    /// Reads a frame. `Ok(None)` is a message of a newer version that may be ignored.
    ///
    /// # Errors
    /// [`WireError`] on anything but exactly one well-formed message within all limits.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, WireError> {
        let msg = match kind {
            0x01 => Self::Hello(decode_hello(body)?),
            0x02 => Self::Open(pack::decode("OPEN", body)?),
            0x03 => Self::OpenOk(decode_open_ok(body)?),
            0x04 => {
                let OpenNoBody { h, e } = pack::decode("OPEN_NO", body)?;
                Self::OpenNo { handle: h, code: e.into() }
            }
            0x05 => Self::Close { handle: pack::decode::<CloseBody>("CLOSE", body)?.h },
            0x10 => {
                let mut r = Reader::new("BITFIELD", body);
                Self::Bitfield { handle: r.u16()?, set: r.rest().to_vec() }
            }
            0x11 => {
                let (handle, runs) = decode_runs("HAVE", body)?;
                Self::Have { handle, runs }
            }
            0x12 => {
                let (handle, runs) = decode_runs("DONT_HAVE", body)?;
                Self::DontHave { handle, runs }
            }
            0x13 => {
                let (handle, want) = decode_flag("WANT", body)?;
                Self::Want { handle, want }
            }
            0x14 => {
                let (handle, choke) = decode_flag("CHOKE", body)?;
                Self::Choke { handle, choke }
            }
            0x21..=0x25 => decode_request(kind, body)?,
            RECALL => decode_request(kind, body)?,
            0x30..=0x33 => decode_hashes(kind, body)?,
            0x40 => Self::Ping(decode_nonce("PING", body)?),
            0x41 => Self::Pong(decode_nonce("PONG", body)?),
            0x7f => {
                let ByeBody { e, t } = pack::decode("BYE", body)?;
                bounded(t.len() <= MAX_TEXT, "BYE", "text")?;
                Self::Bye { code: e.into(), text: t }
            }
            other if other & IGNORABLE != 0 => return Ok(None),
            other => return Err(WireError::UnknownType(other)),
        };
        Ok(Some(msg))
    }
}

/// What precedes the payload in a DATA frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataHeader {
    /// Request number.
    pub rid: u32,
    /// Where the payload starts, counted from the start of the request.
    pub off: u32,
}

impl DataHeader {
    /// Encoded length in bytes.
    pub const LEN: usize = 8;

    /// The eight bytes before the payload.
    pub fn encode(self) -> [u8; Self::LEN] {
        (u64::from(self.rid) | u64::from(self.off) << 32).to_le_bytes()
    }

    /// Reads the eight bytes.
    pub fn decode(bytes: [u8; Self::LEN]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Self { rid: u32::from_le_bytes([a, b, c, d]), off: u32::from_le_bytes([e, f, g, h]) }
    }

    /// Payload length of a DATA frame whose length field said `frame_len` (type byte included).
    ///
    /// # Errors
    /// [`WireError::OutOfBounds`] when there is none or it is too long.
    pub fn payload_len(frame_len: usize) -> Result<usize, WireError> {
        let payload =
            frame_len.checked_sub(1 + Self::LEN).filter(|len| (1..=MAX_DATA_LEN).contains(len));
        payload.ok_or(WireError::OutOfBounds { message: "DATA", what: "payload length" })
    }
}

fn decode_hello(body: &[u8]) -> Result<Hello, WireError> {
    let hello: Hello = pack::decode("HELLO", body)?;
    bounded(hello.agent.len() <= MAX_AGENT, "HELLO", "agent")?;
    bounded(hello.membership.len() <= MAX_MEMBERSHIP, "HELLO", "membership")?;
    bounded(hello.versions.0 <= hello.versions.1, "HELLO", "versions")?;
    Ok(hello)
}

fn decode_open_ok(body: &[u8]) -> Result<OpenOk, WireError> {
    let ok: OpenOk = pack::decode("OPEN_OK", body)?;
    bounded(ok.descriptor.is_sane(), "OPEN_OK", "size")?;
    Ok(ok)
}

fn decode_runs(name: &'static str, body: &[u8]) -> Result<(u16, Vec<Run>), WireError> {
    let mut r = Reader::new(name, body);
    let handle = r.u16()?;
    let n = usize::from(r.u16()?);
    bounded((1..=MAX_HAVE_RUNS).contains(&n), name, "number of runs")?;
    let mut runs = Vec::with_capacity(n);
    for _ in 0..n {
        let run = Run { start: r.u32()?, len: r.u16()? };
        bounded(run.len > 0, name, "run")?;
        runs.push(run);
    }
    r.finish()?;
    Ok((handle, runs))
}

fn decode_flag(name: &'static str, body: &[u8]) -> Result<(u16, bool), WireError> {
    let mut r = Reader::new(name, body);
    let fields = (r.u16()?, r.flag()?);
    r.finish()?;
    Ok(fields)
}

fn decode_nonce(name: &'static str, body: &[u8]) -> Result<u64, WireError> {
    let mut r = Reader::new(name, body);
    let nonce = r.u64()?;
    r.finish()?;
    Ok(nonce)
}

fn decode_request(kind: u8, body: &[u8]) -> Result<PeerMsg, WireError> {
    let mut r = Reader::new("request", body);
    let msg = match kind {
        0x21 => PeerMsg::Request {
            handle: r.u16()?,
            rid: r.u32()?,
            chunk: r.u32()?,
            off: r.u32()?,
            len: r.u32()?,
        },
        0x22 => {
            let (handle, rid, count) = (r.u16()?, r.u32()?, r.u8()?);
            let n = usize::from(r.u16()?);
            bounded((1..=MAX_REQ_ANY).contains(&usize::from(count)), "REQ_ANY", "count")?;
            bounded(n <= MAX_REQ_ANY_EXCLUDES, "REQ_ANY", "exclusions")?;
            let mut except = Vec::with_capacity(n);
            for _ in 0..n {
                except.push(r.u32()?);
            }
            PeerMsg::ReqAny { handle, rid, count, except }
        }
        0x23 => PeerMsg::Assign { rid: r.u32()?, chunk: r.u32()? },
        0x24 => PeerMsg::Cancel { rid: r.u32()? },
        RECALL => PeerMsg::Recall { rid: r.u32()? },
        _ => PeerMsg::Reject { rid: r.u32()?, code: r.u8()?.into() },
    };
    r.finish()?;
    Ok(msg)
}

fn decode_hashes(kind: u8, body: &[u8]) -> Result<PeerMsg, WireError> {
    let mut r = Reader::new("hash", body);
    let msg = match kind {
        0x30 => PeerMsg::HashReq {
            handle: r.u16()?,
            rid: r.u32()?,
            file: r.u32()?,
            level: r.u8()?,
            index: r.u32()?,
            count: r.u16()?,
        },
        0x31 => {
            let (rid, n, proofs) = (r.u32()?, usize::from(r.u16()?), usize::from(r.u8()?));
            bounded((1..=MAX_HASHES).contains(&n), "HASHES", "count")?;
            bounded(proofs <= MAX_PROOF, "HASHES", "proof")?;
            let mut hashes = Vec::with_capacity(n);
            for _ in 0..n {
                hashes.push(r.hash()?);
            }
            let mut proof = Vec::with_capacity(proofs);
            for _ in 0..proofs {
                proof.push(r.hash()?);
            }
            PeerMsg::Hashes { rid, hashes, proof }
        }
        0x32 => PeerMsg::Corrupt { handle: r.u16()?, chunk: r.u32()?, bad: r.hash()? },
        _ => PeerMsg::MetaReq { handle: r.u16()?, rid: r.u32()?, off: r.u32()?, len: r.u32()? },
    };
    r.finish()?;
    Ok(msg)
}
