//! How the plain data of a handle ([`super::command`], [`super::event`], [`super::snapshot`]) is
//! written down when the handle is in another process: field adapters for serde.

use std::path::PathBuf;
use std::sync::Mutex;

use common::lock::Unpoisoned as _;

use serde::{Deserialize, Deserializer, Serialize};

/// Words kept: the engine has about a dozen.
const WORDS: usize = 64;
/// Longest word kept, in bytes.
const WORD_LEN: usize = 32;

/// Moments of the monotonic clock, which mean nothing elsewhere: microseconds from now. What is read
/// is off by the time in between, which for a socket on one machine nobody sees.
pub(super) mod instant {
    use std::time::{Duration, Instant};

    use common::numbers::saturate;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
        let now = Instant::now();
        let micros = |span: Duration| saturate::<i64>(span.as_micros());
        let offset = match at.checked_duration_since(now) {
            Some(ahead) => micros(ahead),
            None => micros(now.saturating_duration_since(*at)).saturating_neg(),
        };
        offset.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Instant, D::Error> {
        let offset = i64::deserialize(deserializer)?;
        let (now, span) = (Instant::now(), Duration::from_micros(offset.unsigned_abs()));
        let at = if offset < 0 { now.checked_sub(span) } else { now.checked_add(span) };
        Ok(at.unwrap_or(now))
    }
}

/// [`instant`], or none.
pub(super) mod maybe_instant {
    use std::time::Instant;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Wrapped(#[serde(with = "super::instant")] Instant);

    pub(crate) fn serialize<S: Serializer>(
        at: &Option<Instant>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(Wrapped).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Instant>, D::Error> {
        Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|wrapped| wrapped.0))
    }
}

/// Paths byte for byte, as the operating system has them: not every one is text.
pub(super) mod path {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::path::{Path, PathBuf};

    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(path.as_os_str().as_bytes())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PathBuf, D::Error> {
        let bytes: serde_bytes::ByteBuf = serde::Deserialize::deserialize(deserializer)?;
        Ok(OsString::from_vec(bytes.into_vec()).into())
    }
}

/// A path written down as [`path`] does; one that was written as text is read too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RawPath(#[serde(with = "path")] pub(crate) PathBuf);

/// What is known by path, as a list of pairs: the keys of a JSON object must be text.
pub(crate) mod by_path {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::RawPath;

    pub(crate) fn serialize<V: Serialize, S: Serializer>(
        map: &BTreeMap<PathBuf, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map.iter().map(|(path, value)| (RawPath(path.clone()), value)))
    }

    pub(crate) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<PathBuf, V>, D::Error> {
        let pairs: Vec<(RawPath, V)> = Vec::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|(path, value)| (path.0, value)).collect())
    }
}

/// [`path`], or none.
pub(super) mod maybe_path {
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::RawPath;

    pub(crate) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        path.clone().map(RawPath).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<RawPath>::deserialize(deserializer)?.map(|path| path.0))
    }
}

/// Whatever has a text form of its own.
pub(super) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A word from a small fixed set, such as the codes of errors. Words this program has not met are kept
/// for its life, [`WORDS`] of them at most, so that whoever sends them cannot make it grow.
pub(super) fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    static MET: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let word = String::deserialize(deserializer)?;
    let mut met = MET.lock().unpoisoned();
    if let Some(known) = met.iter().find(|known| **known == word) {
        return Ok(known);
    }
    if met.len() >= WORDS || word.len() > WORD_LEN {
        return Ok("other");
    }
    let word: &'static str = Box::leak(word.into_boxed_str());
    met.push(word);
    Ok(word)
}

/// How up to a million chunks stand: a byte and a number each, and the copies all of them have.
pub(super) mod chunks {
    use common::limits::MAX_CHUNKS;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de};
    use serde_bytes::ByteBuf;

    use crate::api::chunk_states::{ChunkState, Chunks};

    pub(crate) fn serialize<S: Serializer>(
        chunks: &Chunks,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let states = chunks.pages().flat_map(|(states, _)| states.iter().map(|s| code(*s)));
        let states = ByteBuf::from(states.collect::<Vec<u8>>());
        let partial: Vec<u16> = chunks.pages().flat_map(|(_, partial)| partial).copied().collect();
        (chunks.base(), states, partial).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Chunks, D::Error> {
        let (base, bytes, partial) = <(u16, ByteBuf, Vec<u16>)>::deserialize(deserializer)?;
        if bytes.len() > MAX_CHUNKS as usize || partial.len() != bytes.len() {
            return Err(de::Error::custom("chunks without number"));
        }
        let state = |byte: &u8| state(*byte).ok_or_else(|| de::Error::custom("chunk state"));
        let states: Vec<ChunkState> = bytes.iter().map(state).collect::<Result<_, _>>()?;
        let mut chunks = Chunks::of(&states, &partial);
        chunks.set_base(base);
        Ok(chunks)
    }

    fn code(state: ChunkState) -> u8 {
        match state {
            ChunkState::Missing => 0,
            ChunkState::Unwanted => 1,
            ChunkState::InFlight => 2,
            ChunkState::Have => 3,
            ChunkState::Bad => 4,
            ChunkState::Checking => 5,
        }
    }

    fn state(byte: u8) -> Option<ChunkState> {
        Some(match byte {
            0 => ChunkState::Missing,
            1 => ChunkState::Unwanted,
            2 => ChunkState::InFlight,
            3 => ChunkState::Have,
            4 => ChunkState::Bad,
            5 => ChunkState::Checking,
            _ => return None,
        })
    }
}
