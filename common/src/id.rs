//! Identifiers: 32-byte values that are never passed around as bare arrays.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Length of every identifier and hash, in bytes.
pub const ID_LEN: usize = 32;

/// Text that should have been an identifier is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 52 base32 characters (a-z, 2-7), got {got}")]
pub struct ParseIdError {
    /// How many characters there were.
    pub got: usize,
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; ID_LEN]);

        impl $name {
            /// Wraps raw bytes.
            pub const fn from_bytes(bytes: [u8; ID_LEN]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; ID_LEN] {
                &self.0
            }

            /// The first eight base32 characters: enough for people to tell two apart.
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(8);
                text
            }

            /// Lower-case hexadecimal, 64 characters.
            pub fn hex(&self) -> String {
                data_encoding::HEXLOWER.encode(&self.0)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = std::array::TryFromSliceError;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                bytes.try_into().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let error = ParseIdError { got: text.chars().count() };
                let bytes = BASE32_NOPAD
                    .decode(text.trim().to_ascii_uppercase().as_bytes())
                    .map_err(|_| error.clone())?;
                Self::try_from(bytes.as_slice()).map_err(|_| error)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                serde_bytes::ByteArray::<ID_LEN>::deserialize(deserializer)
                    .map(|bytes| Self(bytes.into_array()))
            }
        }
    };
}

id_type! {
    /// A peer or a tracker: its Ed25519 public key.
    PeerId
}
id_type! {
    /// Content: binds kind, size and tree root (see [`crate::content::Descriptor::id`]).
    ContentId
}
id_type! {
    /// A SHA-256 value: a block, a tree node or a root.
    Hash
}

impl Hash {
    /// Thirty-two zero bytes: the leaf BEP 52 puts where a file has no block.
    pub const ZERO: Self = Self([0; ID_LEN]);

    /// Reads 64 hexadecimal digits, in either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        Self::try_from(bytes.as_slice()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_is_lower_case() {
        let id = PeerId::from_bytes([0xA5; 32]);
        let text = id.to_string();
        assert_eq!(text.len(), 52);
        assert_eq!(text, text.to_lowercase());
        assert_eq!(text.parse::<PeerId>().unwrap(), id);
        assert_eq!(text.to_uppercase().parse::<PeerId>().unwrap(), id);
        assert!(text.starts_with(&id.short()));
    }

    #[test]
    fn wrong_text_is_refused_with_its_length() {
        assert_eq!("abc".parse::<ContentId>(), Err(ParseIdError { got: 3 }));
        assert!("1".repeat(52).parse::<ContentId>().is_err());
        assert!(Hash::from_hex("zz").is_none());
        let hash = Hash::from_bytes([7; 32]);
        assert_eq!(Hash::from_hex(&hash.hex()), Some(hash));
    }
}
