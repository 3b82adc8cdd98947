//! MessagePack bodies: named maps, whole-frame decoding, nothing left over, bounded depth.

use std::io::Cursor;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::WireError;
use crate::limits::MAX_MSGPACK_DEPTH;

/// Encodes a message as a MessagePack map with named keys.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    // Writing to memory cannot fail, and none of our types has a serializer that does.
    rmp_serde::to_vec_named(message).unwrap_or_default()
}

/// Decodes exactly one value from `body`.
///
/// # Errors
/// [`WireError::Malformed`] when it is not a `T`, nests too deeply, or [`WireError::Trailing`] when
/// bytes are left over (rmp-serde's own `from_slice` would accept them).
pub fn decode<T: DeserializeOwned>(name: &'static str, body: &[u8]) -> Result<T, WireError> {
    let (value, len) = decode_first(name, body)?;
    if len == body.len() { Ok(value) } else { Err(WireError::Trailing(name)) }
}

/// Decodes the value that `body` begins with; how many bytes it takes.
///
/// # Errors
/// [`WireError::Malformed`] when it is not a `T`, or nests too deeply.
pub(crate) fn decode_first<T: DeserializeOwned>(
    name: &'static str,
    body: &[u8],
) -> Result<(T, usize), WireError> {
    let mut decoder = rmp_serde::Deserializer::new(Cursor::new(body));
    decoder.set_max_depth(MAX_MSGPACK_DEPTH);
    let value = T::deserialize(&mut decoder)
        .map_err(|error| WireError::Malformed { message: name, why: error.to_string() })?;
    // It cannot be past the end of the slice.
    Ok((value, usize::try_from(decoder.position()).unwrap_or(body.len())))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        a: u32,
        #[serde(default)]
        b: Option<String>,
    }

    #[test]
    fn trailing_bytes_and_truncation_are_refused() {
        let sample = Sample { a: 7, b: Some("x".into()) };
        let bytes = encode(&sample);
        assert_eq!(decode::<Sample>("sample", &bytes), Ok(sample));
        let mut longer = bytes.clone();
        longer.push(0xc0);
        assert_eq!(decode::<Sample>("sample", &longer), Err(WireError::Trailing("sample")));
        for cut in 0..bytes.len() {
            assert!(decode::<Sample>("sample", &bytes[..cut]).is_err());
        }
    }

    #[test]
    fn unknown_fields_are_skipped_but_not_at_any_depth() {
        #[derive(Serialize)]
        struct Newer {
            a: u32,
            zz: Vec<u8>,
        }
        let bytes = encode(&Newer { a: 1, zz: vec![1, 2] });
        assert_eq!(decode::<Sample>("sample", &bytes), Ok(Sample { a: 1, b: None }));

        // {"a": 1, "x": [[[[…]]]]} nested far too deeply.
        let mut bomb = vec![0x82, 0xa1, b'a', 1, 0xa1, b'x'];
        bomb.extend(std::iter::repeat_n(0x91, 100_000));
        bomb.push(0xc0);
        assert!(matches!(decode::<Sample>("sample", &bomb), Err(WireError::Malformed { .. })));
    }

    #[test]
    fn a_huge_length_prefix_allocates_nothing() {
        // Array of 2^32-1 elements that are not there.
        let bytes = [0xdd, 0xff, 0xff, 0xff, 0xff];
        assert!(decode::<Vec<u64>>("list", &bytes).is_err());
        let bytes = [0xc6, 0xff, 0xff, 0xff, 0xff];
        assert!(decode::<serde_bytes::ByteBuf>("bin", &bytes).is_err());
    }
}
