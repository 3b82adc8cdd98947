//! Another peer (10, 11).

use std::collections::HashMap;
use std::time::UNIX_EPOCH;

use ring::signature::{ED25519, UnparsedPublicKey};
use serde_bytes::ByteBuf;

use crate::channel::{Channel, Me};
use crate::messages::*;
use crate::tree::{Shape, node, sha256, top};
use crate::{Hash, Res};

/// The one content that is opened; we dial, so it is even.
const HANDLE: [u8; 2] = [0, 0];
/// Of larger files only the first chunk is fetched.
const SMALL: u64 = 64 << 20;
/// Chunks asked for at once, far below what others allow (11.5).
const WINDOW: usize = 8;
/// Hashes asked for at once: so few that files of more than a mebibyte need uncles (11.4).
const RANGE: u32 = 16;

pub(crate) struct Peer {
    channel: Channel,
    choked: bool,
}

impl Peer {
    pub(crate) fn meet(source: &Source, tracker: &Hash, m: &ByteBuf, me: &Me) -> Res<Self> {
        let key: Hash = source.k.as_slice().try_into()?;
        let mut channel = Channel::open(&source.addrs(), &key, b"shoal-peer/1", me)?;
        let hello = PeerHello { v: (1, 1), a: "stranger/1".into(), m: m.clone(), p: 0, q: 1 << 20 };
        channel.send_map(0x01, &hello)?;
        let mut peer = Self { channel, choked: true };
        let hello: PeerHello = rmp_serde::from_slice(&peer.wait_for(0x01)?)?;
        println!("it is {:?}", hello.a);
        check_membership(&hello.m, tracker, &key)?;
        Ok(peer)
    }

    /// The next message but PING, which is answered.
    fn message(&mut self) -> Res<(u8, Vec<u8>)> {
        loop {
            let (kind, body) = self.channel.recv()?;
            match kind {
                0x40 => {
                    self.channel.send(0x41, &body)?;
                    continue;
                }
                0x14 => self.choked = body.get(2) != Some(&0),
                0x7f => {
                    let Why { e, t } = rmp_serde::from_slice(&body)?;
                    return Err(format!("the peer says {e}: {t:?}").into());
                }
                0x04 => {
                    let OpenNo { e } = rmp_serde::from_slice(&body)?;
                    return Err(format!("the peer does not open it: {e}").into());
                }
                _ => {}
            }
            return Ok((kind, body));
        }
    }

    fn wait_for(&mut self, kind: u8) -> Res<Vec<u8>> {
        loop {
            let (got, body) = self.message()?;
            match got {
                0x25 => return Err(format!("rejected: {body:?}").into()),
                _ if got == kind => return Ok(body),
                _ => {}
            }
        }
    }

    pub(crate) fn fetch(&mut self, id: &Hash, file: &File) -> Res<Vec<u8>> {
        let h = u16::from_le_bytes(HANDLE);
        self.channel.send_map(0x02, &Open { h, i: ByteBuf::from(*id), s: 0, w: true })?;
        let ok: OpenOk = rmp_serde::from_slice(&self.wait_for(0x03)?)?;
        if ok.d.id()? != *id || ok.s != 2 {
            return Err("it has something else, or not all".into());
        }
        let shape = Shape::of(ok.d.z);
        let root: Hash = ok.d.r.as_slice().try_into()?;
        let wanted = if ok.d.z <= SMALL { shape.chunks } else { 1 };
        let hashes = match shape.chunks {
            chunks if chunks != file.c => return Err("the tracker counts otherwise".into()),
            0 if root != sha256(b"") => return Err("not the root of nothing".into()),
            0 => return Ok(Vec::new()),
            1 => vec![root],
            _ => self.hashes(&shape, &root, wanted)?,
        };
        println!("{} chunk hashes lead to the root", hashes.len());
        self.chunks(&shape, &hashes, wanted)
    }

    /// Hashes of at least the first `wanted` chunks, each proven to the root (11.4).
    fn hashes(&mut self, shape: &Shape, root: &Hash, wanted: u32) -> Res<Vec<Hash>> {
        let width = shape.chunks.next_power_of_two();
        let count = width.min(RANGE);
        let mut all = Vec::new();
        for index in (0..wanted).step_by(count as usize) {
            // The first chunk is the number of the request as well; file 0.
            let request = [
                HANDLE.as_slice(),
                &index.to_le_bytes(),
                &[0; 4],
                &[u8::try_from(shape.level)?],
                &index.to_le_bytes(),
                &u16::try_from(count)?.to_le_bytes(),
            ];
            self.channel.send(0x30, &request.concat())?;
            let answer = self.wait_for(0x31)?;
            let (head, rest) = answer.split_first_chunk::<7>().ok_or("a short answer")?;
            let list: Vec<Hash> =
                rest.chunks(32).map(TryInto::try_into).collect::<Result<_, _>>()?;
            let here = count.min(shape.chunks - index) as usize;
            let above = (width / count).ilog2();
            let [a, b] = u16::try_from(here)?.to_le_bytes();
            if head[4..] != [a, b, u8::try_from(above)?] || list.len() != here + above as usize {
                return Err("hashes of another range".into());
            }
            let (hashes, uncles) = list.split_at(here);
            let mut at = top(hashes, shape.level, count.ilog2());
            let mut position = index / count;
            for uncle in uncles {
                at = if position.is_multiple_of(2) { node(&at, uncle) } else { node(uncle, &at) };
                position /= 2;
            }
            if at != *root {
                return Err("hashes that do not lead to the root".into());
            }
            all.extend(hashes);
        }
        Ok(all)
    }

    /// The first `wanted` chunks, each verified (11.5). The number of a request is that of its chunk.
    fn chunks(&mut self, shape: &Shape, hashes: &[Hash], wanted: u32) -> Res<Vec<u8>> {
        let mut todo: Vec<u32> = (0..wanted).rev().collect();
        let mut live: HashMap<u32, Vec<u8>> = HashMap::new();
        let mut done: Vec<Vec<u8>> = vec![Vec::new(); wanted as usize];
        while !todo.is_empty() || !live.is_empty() {
            while !self.choked && live.len() < WINDOW {
                let Some(chunk) = todo.pop() else { break };
                let span = [chunk, chunk, 0, shape.len(chunk)].map(u32::to_le_bytes).concat();
                self.channel.send(0x21, &[HANDLE.as_slice(), &span].concat())?;
                live.insert(chunk, Vec::new());
            }
            let (kind, body) = self.message()?;
            let Some((rid, rest)) = body.split_first_chunk::<4>() else { continue };
            let rid = u32::from_le_bytes(*rid);
            match kind {
                // It was choked before it came there: again when it may.
                0x25 if rest == [10] && live.remove(&rid).is_some() => todo.push(rid),
                0x25 => return Err(format!("chunk {rid} is rejected: {rest:?}").into()),
                0x20 => {
                    let got = live.get_mut(&rid).ok_or("data that nobody asked for")?;
                    let (off, data) = rest.split_first_chunk::<4>().ok_or("data too short")?;
                    if u32::from_le_bytes(*off) as usize != got.len() {
                        return Err("data out of order".into());
                    }
                    got.extend(data);
                    if got.len() < shape.len(rid) as usize {
                        continue;
                    }
                    let bytes = live.remove(&rid).unwrap_or_default();
                    if shape.hash(&bytes) != hashes[rid as usize] {
                        return Err(format!("chunk {rid} is wrong").into());
                    }
                    done[rid as usize] = bytes;
                }
                _ => {}
            }
        }
        Ok(done.concat())
    }

    pub(crate) fn leave(&mut self) -> Res<()> {
        self.channel.send_map(0x7f, &Why { e: 16, t: "done".to_owned() })
    }
}

/// Its bytes are fixed, so that it is compared and not decoded (10).
fn check_membership(shown: &[u8], tracker: &Hash, peer: &Hash) -> Res<()> {
    let (body, signature) = shown.split_first_chunk::<106>().ok_or("a short membership")?;
    let head = [b"\x97\x01\xc4\x20".as_slice(), tracker, b"\xc4\x20", peer].concat();
    let signed = [b"shoal member/1\0".as_slice(), body].concat();
    let holds = UnparsedPublicKey::new(&ED25519, tracker).verify(&signed, signature);
    let until = u64::from_be_bytes(body[98..].try_into()?);
    if !body.starts_with(&head) || holds.is_err() {
        return Err("a membership of somebody else".into());
    } else if UNIX_EPOCH.elapsed()?.as_secs() > until + 600 {
        return Err("a membership of long ago".into());
    }
    Ok(())
}
