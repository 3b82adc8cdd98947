//! Reasons given on the wire, one numbering for BYE, REJECT and tracker errors.

use std::fmt;

/// Why a request, a connection or a registration was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the words of `Display` say it")]
pub enum Code {
    Protocol = 1,
    Version = 2,
    Auth = 3,
    NotMember = 4,
    Expired = 5,
    Revoked = 6,
    UnknownContent = 7,
    NotPermitted = 8,
    Busy = 9,
    Choked = 10,
    Gone = 11,
    LocalIo = 12,
    Limit = 13,
    Timeout = 14,
    Duplicate = 15,
    ShuttingDown = 16,
    BadData = 17,
    AlreadyOpen = 18,
    Rate = 19,
    Cancelled = 20,
    /// Anything a newer version may say.
    Other = 255,
}

const KNOWN: [Code; 20] = [
    Code::Protocol,
    Code::Version,
    Code::Auth,
    Code::NotMember,
    Code::Expired,
    Code::Revoked,
    Code::UnknownContent,
    Code::NotPermitted,
    Code::Busy,
    Code::Choked,
    Code::Gone,
    Code::LocalIo,
    Code::Limit,
    Code::Timeout,
    Code::Duplicate,
    Code::ShuttingDown,
    Code::BadData,
    Code::AlreadyOpen,
    Code::Rate,
    Code::Cancelled,
];

impl From<u8> for Code {
    fn from(byte: u8) -> Self {
        KNOWN.into_iter().find(|code| *code as u8 == byte).unwrap_or(Self::Other)
    }
}

impl From<Code> for u8 {
    fn from(code: Code) -> Self {
        code as u8
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protocol => "protocol violation",
            Self::Version => "no common protocol version",
            Self::Auth => "wrong or missing secret",
            Self::NotMember => "not a member of this network",
            Self::Expired => "membership expired",
            Self::Revoked => "membership revoked",
            Self::UnknownContent => "content not known here",
            Self::NotPermitted => "not permitted",
            Self::Busy => "busy",
            Self::Choked => "choked",
            Self::Gone => "content gone or changed",
            Self::LocalIo => "disk error at the other end",
            Self::Limit => "limit reached",
            Self::Timeout => "timed out",
            Self::Duplicate => "duplicate connection",
            Self::ShuttingDown => "shutting down",
            Self::BadData => "bad data",
            Self::AlreadyOpen => "already open",
            Self::Rate => "too many requests",
            Self::Cancelled => "cancelled",
            Self::Other => "unknown reason",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_and_unknown_ones_are_kept_apart() {
        for byte in 1..=20u8 {
            assert_eq!(u8::from(Code::from(byte)), byte);
        }
        assert_eq!(Code::from(0), Code::Other);
        assert_eq!(Code::from(21), Code::Other);
    }
}
