//! DATA, the one message whose payload is not read into memory of its own.

use super::super::WireError;
use crate::limits::MAX_DATA_LEN;

/// Frame type of DATA.
pub const DATA: u8 = 0x20;

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
