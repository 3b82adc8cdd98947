//! Frames and messages between peers, and between a peer and its tracker.
//!
//! **Goals.** Bulk bytes stay outside serde; hot messages are fixed little-endian binary; control
//! messages are MessagePack maps with short keys, so that a field can be added without breaking old
//! readers. Every message has golden bytes in `tests/suite/wire_golden.rs`.
//! `PROTOCOL.md`, beside this crate's `Cargo.toml`, tells all of it to those who write another program.
//!
//! **Non-goals.** No compression (no bombs), no recursive types, no self-describing values.
//!
//! A frame is `u32 length (little-endian) | u8 type | body`; the length counts type and body. Types
//! with bit 0x80 may be ignored by a receiver that does not know them; any other unknown type ends
//! the connection.

pub mod binary;
pub mod code;
pub mod pack;
pub mod peer;
pub mod tracker;

pub use code::Code;

/// Bit of a frame type that says: ignore this if you do not know it.
pub const IGNORABLE: u8 = 0x80;

/// A frame body is not what its type says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The type byte is unknown and must not be ignored.
    #[error("unknown message type {0:#04x}")]
    UnknownType(u8),
    /// The body ends before the message does.
    #[error("{0} message is cut short")]
    Truncated(&'static str),
    /// Bytes follow the message.
    #[error("{0} message has trailing bytes")]
    Trailing(&'static str),
    /// The body is not the MessagePack map it should be.
    #[error("{message} message is malformed: {why}")]
    Malformed {
        /// Which message.
        message: &'static str,
        /// What the decoder said.
        why: String,
    },
    /// A count, length or value exceeds its limit.
    #[error("{message} message: {what} is out of bounds")]
    OutOfBounds {
        /// Which message.
        message: &'static str,
        /// Which field.
        what: &'static str,
    },
}

/// Shorthand for a bound check.
fn bounded(ok: bool, message: &'static str, what: &'static str) -> Result<(), WireError> {
    if ok { Ok(()) } else { Err(WireError::OutOfBounds { message, what }) }
}
