//! The secret of a closed network, and the proof of knowing it.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// Shortest secret in bytes. Chosen secrets should be hard to guess; generated ones have 128 bits.
pub const MIN_SECRET_LEN: usize = 16;
/// Longest secret in bytes: more adds no strength.
pub const MAX_SECRET_LEN: usize = 256;
/// Random bytes in a generated secret.
const GENERATED_LEN: usize = 16;
const CONTEXT: &[u8] = b"shoal net/1";

/// Why text is not a secret. Never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too easy to guess.
    #[error("the network secret has {got} bytes, at least {MIN_SECRET_LEN} are needed")]
    TooShort {
        /// Its length in bytes.
        got: usize,
    },
    /// Longer than anybody needs.
    #[error("the network secret has {got} bytes, at most {MAX_SECRET_LEN} are allowed")]
    TooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// Contains a line break or another control character.
    #[error("the network secret contains a control character (a second line?)")]
    Control,
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random numbers, so no secret can be made")]
    NoRandom,
}

/// The secret of a network: text of 16 to 256 bytes, used as it stands. Wiped when dropped, and not
/// shown by `Debug`; there is no `Display`, showing it takes [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A new secret: 128 random bits as 26 base32 characters.
    ///
    /// # Errors
    /// [`SecretError::NoRandom`].
    pub fn generate() -> Result<Self, SecretError> {
        let mut bytes = Zeroizing::new([0; GENERATED_LEN]);
        SystemRandom::new().fill(&mut *bytes).map_err(|_| SecretError::NoRandom)?;
        let mut text = BASE32_NOPAD.encode(&*bytes);
        text.make_ascii_lowercase();
        Ok(Self(Zeroizing::new(text)))
    }

    /// The secret itself, for the join string and the secret file. Keep it out of logs.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Proves knowledge of the secret on one connection only:
    /// HMAC-SHA256(secret, "shoal net/1" ‖ role ‖ exporter), with the exporter of the TLS connection
    /// ([`crate::channel::Secure::exporter`]). `role` says which end proves.
    pub fn proof(&self, role: &str, exporter: &[u8; 32]) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(hmac::sign(&self.key(), &message(role, exporter)).as_ref());
        out
    }

    /// Checks a [`Secret::proof`] in constant time.
    pub fn verify(&self, role: &str, exporter: &[u8; 32], proof: &[u8]) -> bool {
        hmac::verify(&self.key(), &message(role, exporter), proof).is_ok()
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes())
    }
}

/// Only the exporter at the end has a fixed length, so role and exporter cannot run into each other.
fn message(role: &str, exporter: &[u8; 32]) -> Vec<u8> {
    [CONTEXT, role.as_bytes(), exporter].concat()
}

impl FromStr for Secret {
    type Err = SecretError;

    /// Takes text from a file, the environment, a prompt or a join string; white space around it is
    /// dropped.
    fn from_str(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(SecretError::Control);
        }
        match text.len() {
            got if got < MIN_SECRET_LEN => Err(SecretError::TooShort { got }),
            got if got > MAX_SECRET_LEN => Err(SecretError::TooLong { got }),
            _ => Ok(Self(Zeroizing::new(text.to_owned()))),
        }
    }
}

impl PartialEq for Secret {
    /// In constant time for equal lengths: compares keyed digests, not the text.
    fn eq(&self, other: &Self) -> bool {
        let tag = hmac::sign(&self.key(), CONTEXT);
        hmac::verify(&other.key(), CONTEXT, tag.as_ref()).is_ok()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORTER: [u8; 32] = [9; 32];

    #[test]
    fn proof_holds_for_one_secret_role_and_channel() {
        let secret: Secret = "correct horse battery".parse().unwrap();
        let other: Secret = "correct horse batterz".parse().unwrap();
        let proof = secret.proof("peer", &EXPORTER);
        assert!(secret.verify("peer", &EXPORTER, &proof));
        assert!(!secret.verify("tracker", &EXPORTER, &proof));
        assert!(!secret.verify("peer", &[8; 32], &proof));
        assert!(!other.verify("peer", &EXPORTER, &proof));
        assert!(!secret.verify("peer", &EXPORTER, &proof[..31]));
        assert!(!secret.verify("peer", &EXPORTER, b""));
        assert_ne!(secret, other);
        assert_eq!(secret, "correct horse battery\n".parse().unwrap());
    }

    /// Computed with Python: hmac.new(b"0123456789abcdef", b"shoal net/1" + b"peer" + bytes([9]) * 32, "sha256").
    #[test]
    fn proof_is_plain_hmac() {
        let secret: Secret = "0123456789abcdef".parse().unwrap();
        let proof = secret.proof("peer", &EXPORTER);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&proof),
            "21c881824057926b93440fe0e9c1805d64708260bf94d835d31a1c2e4b9a80af"
        );
    }

    #[test]
    fn generated_secrets_differ_and_parse() {
        let (one, two) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), 26);
        assert_eq!(one.expose().parse::<Secret>().unwrap(), one);
    }

    #[test]
    fn unusable_secrets_are_refused_without_repeating_them() {
        let refused = |text: &str| text.parse::<Secret>().unwrap_err();
        assert_eq!(refused(" 123456789012345 "), SecretError::TooShort { got: 15 });
        assert_eq!(refused(&"x".repeat(257)), SecretError::TooLong { got: 257 });
        assert_eq!(refused("first line of it\nsecond"), SecretError::Control);
        assert!(!refused("hunter2").to_string().contains("hunter2"));
    }

    #[test]
    fn debug_is_redacted() {
        let secret: Secret = "correct horse battery".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(***)");
    }
}
