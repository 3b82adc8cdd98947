//! What messages are made of, and the checks on what others say.

use serde::{Deserialize, Serialize};

use super::super::{WireError, bounded, pack};
use crate::content::Descriptor;
use crate::id::ContentId;
use crate::limits::{MAX_AGENT, MAX_MEMBERSHIP};
use crate::numbers::byte_codec;

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

byte_codec!(HaveState, "have state", None Part All);

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
    /// Whether this peer can reach its tracker. One that cannot may show a membership that has expired
    /// ([`crate::membership::GRACE_SECS`]). `None`: an older program, which does not say.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub in_touch: Option<bool>,
    /// The accepting side's number of this connection: the dialling side may open extra ones to it, which name it in
    /// [`super::PeerMsg::Extra`]. `None`: it may not.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
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

/// A run of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First chunk.
    pub start: u32,
    /// How many.
    pub len: u16,
}

pub(super) fn decode_hello(body: &[u8]) -> Result<Hello, WireError> {
    let hello: Hello = pack::decode("HELLO", body)?;
    bounded(hello.agent.len() <= MAX_AGENT, "HELLO", "agent")?;
    bounded(hello.membership.len() <= MAX_MEMBERSHIP, "HELLO", "membership")?;
    bounded(hello.versions.0 <= hello.versions.1, "HELLO", "versions")?;
    Ok(hello)
}

pub(super) fn decode_open_ok(body: &[u8]) -> Result<OpenOk, WireError> {
    let ok: OpenOk = pack::decode("OPEN_OK", body)?;
    bounded(ok.descriptor.is_sane(), "OPEN_OK", "size")?;
    Ok(ok)
}
