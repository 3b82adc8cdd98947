//! What a tracker takes along, one item after the other: a kind (1 byte), a length (4, big-endian), and so many bytes.

use std::io::{self, Read};

use common::id::{ContentId, ID_LEN, PeerId};
use common::names::check_component;
use common::numbers::saturate;
use common::wire::pack;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::record::{Change, Saved, Target};

const KEY: u8 = 1;
const SECRET: u8 = 2;
const HOSTS: u8 = 3;
const FILE: u8 = 4;
const PEER: u8 = 5;
const SHARE: u8 = 6;
const BAN: u8 = 7;
/// The last one: how many there were before it.
const END: u8 = 8;
const MEMBER: u8 = 9;
const INVITE: u8 = 10;
/// Longest item: records are a name and some numbers, a list of hosts has 1 KiB.
const MAX_ITEM: u32 = 16 * 1024;

/// All of it.
#[derive(Default)]
pub(super) struct Luggage {
    /// The key file.
    pub(super) key: Zeroizing<Vec<u8>>,
    /// The secret's file.
    pub(super) secret: Option<Zeroizing<Vec<u8>>>,
    /// The signed list of hosts.
    pub(super) hosts: Option<Vec<u8>>,
    pub(super) saved: Saved,
}

/// The files of a state folder.
pub(super) fn files(luggage: &Luggage) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::new());
    item(&mut out, KEY, &[&luggage.key]);
    if let Some(secret) = &luggage.secret {
        item(&mut out, SECRET, &[secret]);
    }
    if let Some(hosts) = &luggage.hosts {
        item(&mut out, HOSTS, &[hosts]);
    }
    out
}

/// Records, as they go from a running tracker to the command too. What takes something away is no record.
pub(crate) fn records(changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::new();
    for change in changes {
        match change {
            Change::File(id, record) => {
                item(&mut out, FILE, &[id.as_bytes(), &pack::encode(record)])
            }
            Change::Peer(id, record) => {
                item(&mut out, PEER, &[id.as_bytes(), &pack::encode(record)])
            }
            Change::Share(peer, id, name) => {
                item(&mut out, SHARE, &[peer.as_bytes(), id.as_bytes(), name.as_bytes()]);
            }
            Change::Ban(target, ban) => {
                let target = target.to_bytes();
                item(
                    &mut out,
                    BAN,
                    &[&[saturate::<u8>(target.len())], &target, &pack::encode(ban)],
                );
            }
            Change::Member(id, member) => {
                item(&mut out, MEMBER, &[id.as_bytes(), &pack::encode(member)]);
            }
            Change::Invite(number, invite) => {
                item(&mut out, INVITE, &[&number.to_be_bytes(), &pack::encode(invite)]);
            }
            // Peers say them again.
            Change::Names(..)
            | Change::NamesGone(_)
            | Change::FileGone(_)
            | Change::PeerGone(_)
            | Change::ShareGone(..)
            | Change::MemberGone(_)
            | Change::InviteGone(_)
            | Change::BanGone(_) => {}
        }
    }
    out
}

/// The end of `count` items.
pub(super) fn end(count: u64) -> Vec<u8> {
    let mut out = Vec::new();
    item(&mut out, END, &[&count.to_be_bytes()]);
    out
}

/// How many items these bytes are; `None` unless they are whole items.
pub(super) fn count(mut bytes: &[u8]) -> Option<u64> {
    let mut count = 0;
    while let Some((_, rest)) = bytes.split_first() {
        let (len, rest) = rest.split_first_chunk()?;
        bytes = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?.1;
        count += 1;
    }
    Some(count)
}

fn item(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    out.push(kind);
    out.extend_from_slice(&saturate::<u32>(len).to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Reads everything up to the end.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] if it is not what a tracker writes, or not all of it; others from `from`.
pub(super) fn read(from: &mut impl Read) -> io::Result<Luggage> {
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let early = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(),
        _ => error,
    };
    let (mut luggage, mut count) = (Luggage::default(), 0u64);
    loop {
        let mut head = [0; 5];
        from.read_exact(&mut head).map_err(early)?;
        let [kind, len @ ..] = head;
        let len = u32::from_be_bytes(len);
        if len > MAX_ITEM {
            return Err(damaged());
        }
        let mut body = Zeroizing::new(vec![0; usize::try_from(len).map_err(|_| damaged())?]);
        from.read_exact(&mut body).map_err(early)?;
        if kind == END {
            let is_whole = *body == count.to_be_bytes() && !luggage.key.is_empty();
            return if is_whole && from.read(&mut [0])? == 0 {
                Ok(luggage)
            } else {
                Err(damaged())
            };
        }
        count += 1;
        luggage.add(kind, body).ok_or_else(damaged)?;
    }
}

impl Luggage {
    /// `None` if it is not what a tracker writes.
    fn add(&mut self, kind: u8, body: Zeroizing<Vec<u8>>) -> Option<()> {
        let named = |name: &[u8]| {
            let name = std::str::from_utf8(name).ok()?;
            check_component(name).ok().map(|_| Box::<str>::from(name))
        };
        match kind {
            KEY => self.key = body,
            SECRET => self.secret = Some(body),
            HOSTS => self.hosts = Some(body.to_vec()),
            FILE => {
                let (id, record) = body.split_first_chunk::<ID_LEN>()?;
                let record: crate::record::FileRecord = unpack(record)?;
                named(record.name.as_bytes())?;
                self.saved.files.push((ContentId::from_bytes(*id), record));
            }
            PEER => {
                let (id, record) = body.split_first_chunk::<ID_LEN>()?;
                self.saved.peers.push((PeerId::from_bytes(*id), unpack(record)?));
            }
            SHARE => {
                let (peer, rest) = body.split_first_chunk::<ID_LEN>()?;
                let (id, name) = rest.split_first_chunk::<ID_LEN>()?;
                let (peer, id) = (PeerId::from_bytes(*peer), ContentId::from_bytes(*id));
                self.saved.shares.push((peer, id, named(name)?));
            }
            MEMBER => {
                let (id, member) = body.split_first_chunk::<ID_LEN>()?;
                self.saved.members.push((PeerId::from_bytes(*id), unpack(member)?));
            }
            INVITE => {
                let (number, invite) = body.split_first_chunk::<8>()?;
                self.saved.invites.push((u64::from_be_bytes(*number), unpack(invite)?));
            }
            BAN => {
                let (len, rest) = body.split_first()?;
                let (target, ban) = rest.split_at_checked(usize::from(*len))?;
                self.saved.bans.push((Target::from_bytes(target)?, unpack(ban)?));
            }
            _ => return None,
        }
        Some(())
    }
}

fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    pack::decode("exported", bytes).ok()
}
