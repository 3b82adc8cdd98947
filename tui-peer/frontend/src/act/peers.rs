//! Which peer is meant: by its key, the beginning of it, or its name if only one is called so.

use std::time::Duration;

use common::id::PeerId;

use super::step::{About, Refused, Step};
use crate::find::{Candidate, Miss, SHORTEST_ID};
use engine::api::command::Command;
use engine::api::snapshot::{Snapshot, display_name};

/// A peer that is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    peer: PeerId,
    nick: String,
}

pub(super) fn ban(
    what: &[String],
    time: Option<Duration>,
    snapshot: &Snapshot,
) -> Vec<Result<Step, Box<Refused>>> {
    let connected = snapshot.peers.iter().map(|row| (row.peer, &row.nick));
    let banned = snapshot.bans.iter().map(|row| (row.peer, &row.nick));
    let known = known(connected.chain(banned));
    let minutes = time.map(|time| time.as_secs().div_ceil(60));
    let how_long = minutes.map_or_else(|| "for ever".to_owned(), |n| format!("for {n} min"));
    let step = |Known { peer, nick }| Step {
        command: Command::Ban { peer, time },
        event: "banned",
        more: vec![("minutes", minutes.into())],
        said: format!("banned {how_long}: {}", display_name(&peer, &nick)),
        about: About::Peer { peer, nick },
    };
    let (none, hint) =
        ("no peer here", "tui-peer peers lists those connected; a whole key always does");
    what.iter().map(|what| pick(what, &known, none, hint).map(step)).collect()
}

pub(super) fn unban(what: &[String], snapshot: &Snapshot) -> Vec<Result<Step, Box<Refused>>> {
    let known = known(snapshot.bans.iter().map(|row| (row.peer, &row.nick)));
    let step = |Known { peer, nick }| Step {
        command: Command::Unban { peer },
        event: "unbanned",
        more: Vec::new(),
        said: format!("no longer banned: {}", display_name(&peer, &nick)),
        about: About::Peer { peer, nick },
    };
    let (none, hint) = ("nobody banned", "tui-peer unban lists the bans");
    what.iter().map(|what| pick(what, &known, none, hint).map(step)).collect()
}

fn known<'a>(rows: impl Iterator<Item = (PeerId, &'a String)>) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::new();
    for (peer, nick) in rows {
        if known.iter().all(|other| other.peer != peer) {
            known.push(Known { peer, nick: nick.clone() });
        }
    }
    known
}

fn pick(what: &str, known: &[Known], none: &str, hint: &str) -> Result<Known, Box<Refused>> {
    if let Ok(peer) = what.parse::<PeerId>() {
        let known = known.iter().find(|known| known.peer == peer);
        let nick = known.map_or_else(String::new, |known| known.nick.clone());
        return Ok(Known { peer, nick });
    }
    let key = what.to_ascii_lowercase();
    let is_key = |peer: &PeerId| key.len() >= SHORTEST_ID && peer.to_string().starts_with(&key);
    let fits = |known: &&Known| !what.is_empty() && (known.nick == what || is_key(&known.peer));
    match known.iter().filter(fits).collect::<Vec<_>>().as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let miss = Miss::nothing(what, known.iter().map(|known| known.nick.as_str()));
            Err(Refused::miss(miss, none, hint))
        }
        many => {
            let all = many.iter().map(|known| Candidate {
                id: known.peer.to_string(),
                raw: known.nick.clone(),
                shown: known.nick.clone(),
                path: None,
            });
            Err(Refused::miss(Miss::many(what, all.collect()), none, hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_a_peer_is_named_by_key_prefix_or_a_name_that_only_one_has() {
        let known: Vec<Known> = [(1, "ada"), (2, "bob"), (3, "bob")]
            .map(|(n, nick)| Known { peer: PeerId::from_bytes([n; 32]), nick: nick.to_owned() })
            .into();
        let pick = |what: &str| pick(what, &known, "no peer here", "");
        let key = known[1].peer.to_string();
        assert_eq!(pick("ada").unwrap(), known[0]);
        for what in [&key, &key[..8], &key[..8].to_uppercase()] {
            assert_eq!(pick(what).unwrap(), known[1], "{what}");
        }
        let both = pick("bob").unwrap_err();
        assert_eq!((both.code, both.miss.unwrap().candidates.len()), ("ambiguous", 2));
        let none = pick("adda").unwrap_err();
        assert_eq!(none.code, "not-found");
        assert!(none.message.contains("ada"), "{}", none.message);
        assert!(pick("").is_err() && pick(&key[..4]).is_err());
        // Whoever is not here now can be banned all the same.
        let far = PeerId::from_bytes([9; 32]);
        assert_eq!(pick(&far.to_string()).unwrap(), Known { peer: far, nick: String::new() });
    }
}
