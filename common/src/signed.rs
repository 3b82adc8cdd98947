//! Lists that a tracker signs and peers keep: a body, and behind it the Ed25519 signature over a context and that body.

use crate::id::PeerId;
use crate::identity::{Identity, SIGNATURE_LEN, verify};

/// Why a list does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Not the bytes of such a list, or of a newer version.
    #[error("not a list that this program reads ({len} bytes)")]
    Malformed {
        /// How many bytes there were.
        len: usize,
    },
    /// Another network's.
    #[error("a list of another tracker ({})", .0.short())]
    WrongTracker(PeerId),
    /// The tracker did not sign these bytes.
    #[error("a list that is not signed by the tracker it names")]
    BadSignature,
}

/// Puts the signature behind a body.
pub(crate) fn seal(tracker: &Identity, context: &[u8], mut body: Vec<u8>) -> Vec<u8> {
    let signature = tracker.sign(&[context, &body].concat());
    body.extend_from_slice(&signature);
    body
}

/// Checks that a list of at most `most` bytes is `tracker`'s. `decode` reads whose it is by its own word, and what it says;
/// nothing unless the body is exactly one.
///
/// # Errors
/// The first thing found wrong.
pub(crate) fn open<T>(
    encoded: &[u8],
    (tracker, context): (&PeerId, &[u8]),
    most: usize,
    decode: impl FnOnce(&[u8]) -> Option<(PeerId, T)>,
) -> Result<T, ListError> {
    let malformed = ListError::Malformed { len: encoded.len() };
    let (body, signature) = encoded
        .split_last_chunk::<SIGNATURE_LEN>()
        .filter(|_| encoded.len() <= most)
        .ok_or(malformed)?;
    let (key, list) = decode(body).ok_or(malformed)?;
    if key != *tracker {
        return Err(ListError::WrongTracker(key));
    }
    if !verify(tracker, &[context, body].concat(), signature) {
        return Err(ListError::BadSignature);
    }
    Ok(list)
}
