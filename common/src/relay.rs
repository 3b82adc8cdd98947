//! How a connection through a tracker begins: a word that no TLS record begins with, and a token. What follows is for
//! the peer at the other end, and sealed for it.

use std::fmt;

use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

/// What comes first on such a connection. A TLS record begins with 0x16.
pub const MAGIC: [u8; 8] = *b"shoalrly";
/// Bytes before those of the peer: [`MAGIC`] and a token.
pub const PREAMBLE_LEN: usize = MAGIC.len() + TOKEN_LEN;
/// Bytes of a token.
const TOKEN_LEN: usize = 32;

/// Names one end of one relayed connection: random, for one use, and short-lived. Whoever knows it may take that end,
/// so it goes over the authenticated connection to the tracker only, and is never shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token([u8; TOKEN_LEN]);

impl Token {
    /// A new one; `None` if the system has no randomness.
    pub fn random() -> Option<Self> {
        let mut bytes = [0; TOKEN_LEN];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// For tests.
    #[doc(hidden)]
    pub fn from_bytes(bytes: [u8; TOKEN_LEN]) -> Self {
        Self(bytes)
    }

    /// What is sent first by who holds it.
    pub fn preamble(&self) -> [u8; PREAMBLE_LEN] {
        let mut out = [0; PREAMBLE_LEN];
        let (magic, token) = out.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        token.copy_from_slice(&self.0);
        out
    }

    /// The token of a preamble; `None` if it is none.
    pub fn read(preamble: &[u8; PREAMBLE_LEN]) -> Option<Self> {
        let token = preamble.strip_prefix(&MAGIC)?;
        token.try_into().ok().map(Self)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preamble_is_read_back_and_is_no_tls() {
        let token = Token::from_bytes([7; TOKEN_LEN]);
        let mut preamble = token.preamble();
        assert_eq!(Token::read(&preamble), Some(token));
        assert_ne!(preamble[0], 0x16);
        preamble[3] ^= 1;
        assert_eq!(Token::read(&preamble), None);
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
