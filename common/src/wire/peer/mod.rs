//! Messages between peers.
//!
//! `h` is a content handle: the dialling side gives out even numbers, the accepting side odd ones.
//! The dialling side need not wait for answers: OPEN may come right behind its HELLO, and what is asked under a
//! handle right behind the OPEN. All of it is read in order once that HELLO has passed, and what is asked under a
//! handle that was not opened after all is rejected. Every version does so; the dialling side reads nothing before
//! the other's HELLO has passed in its turn.
//! DATA is not part of [`PeerMsg`]: its payload goes from the socket straight into a pooled buffer,
//! so a reader looks at the frame type first ([`DATA`]) and reads a [`DataHeader`].

mod data;
mod decode;
mod parts;

pub use data::{DATA, DataHeader};
pub use parts::{HaveState, Hello, Open, OpenOk, Run};

use serde::{Deserialize, Serialize};

use super::binary::Writer;
use super::{Code, IGNORABLE, pack};
use crate::id::Hash;
use crate::numbers::saturate;

/// Frame type of RECALL: who does not know it may ignore it, the request just stays where it is.
const RECALL: u8 = 0x26 | IGNORABLE;

/// Every message but DATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerMsg {
    /// First message both ways.
    Hello(Hello),
    /// In the place of the dialling side's HELLO: this connection is an extra one to the one of that number, which the
    /// same two peers have.
    Extra(u64),
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
            Self::Extra(_) => 0x06,
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
                let mut w = w.u16(*handle).u16(saturate::<u16>(runs.len()));
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
                let n = saturate::<u16>(except.len());
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
                let mut w =
                    w.u32(*rid).u16(saturate::<u16>(hashes.len())).u8(saturate::<u8>(proof.len()));
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
            Self::Extra(number) | Self::Ping(number) | Self::Pong(number) => w.u64(*number).done(),
            Self::Bye { code, text } => {
                pack::encode(&ByeBody { e: (*code).into(), t: text.clone() })
            }
        }
    }
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
