//! The tracker (9).

use std::net::{SocketAddr, ToSocketAddrs as _};

use ring::hmac;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use crate::channel::{Channel, Me};
use crate::messages::*;
use crate::tree::sha256;
use crate::{Hash, Join, Res};

pub(crate) struct Tracker {
    channel: Channel,
    pub(crate) membership: ByteBuf,
}

impl Tracker {
    pub(crate) fn enter(join: &Join, me: &Me) -> Res<Self> {
        let addrs: Vec<SocketAddr> = join.host.to_socket_addrs()?.collect();
        let channel = Channel::open(&addrs, &join.key, b"shoal-tracker/1", me)?;
        let x = join.secret.as_ref().map(|secret| {
            let proved = [b"shoal net/1peer".as_slice(), &channel.exporter].concat();
            let proof = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &proved);
            ByteBuf::from(proof.as_ref())
        });
        let mut tracker = Self { channel, membership: ByteBuf::new() };
        // We share nothing, and do not listen.
        let g = ByteBuf::from(sha256(b"shoal shares/1"));
        let hello = TrackerHello { v: (1, 1), a: "stranger/1".into(), p: 0, x, g };
        tracker.channel.send_map(0x01, &hello)?;
        tracker.membership = tracker.answer::<Welcome>(0x41)?.m;
        Ok(tracker)
    }

    /// The answer of this type; what comes unasked is not for us.
    fn answer<T: DeserializeOwned>(&mut self, kind: u8) -> Res<T> {
        loop {
            let (got, body) = self.channel.recv()?;
            if got == kind {
                return Ok(rmp_serde::from_slice(&body)?);
            } else if got == 0x7f {
                let Why { e, t } = rmp_serde::from_slice(&body)?;
                return Err(format!("the tracker says {e}: {t:?}").into());
            }
        }
    }

    /// Goes through the catalogue page by page.
    pub(crate) fn find(&mut self, name: &str) -> Res<File> {
        let mut c = ByteBuf::new();
        loop {
            self.channel.send_map(0x04, &FileList { q: 1, t: String::new(), c, n: 500, s: 0 })?;
            let page: Files = self.answer(0x44)?;
            println!("{} rows of the catalogue", page.f.len());
            if let Some(Row { f }) = page.f.into_iter().find(|row| row.f.n == name) {
                return if f.d.k == 0 { Ok(f) } else { Err("that is a folder".into()) };
            } else if page.c.is_empty() {
                return Err(format!("there is no {name:?}").into());
            }
            c = page.c;
        }
    }

    /// A source that has all chunks and can be dialled.
    pub(crate) fn locate(&mut self, id: &Hash, chunks: u32) -> Res<Source> {
        self.channel.send_map(0x05, &FileLocations { q: 2, i: ByteBuf::from(*id), n: 50 })?;
        let found: Locations = self.answer(0x45)?;
        let whole = |source: &Source| source.h == chunks && !source.a.is_empty();
        found.s.into_iter().find(whole).ok_or_else(|| "nobody has all of it".into())
    }

    pub(crate) fn leave(&mut self) -> Res<()> {
        self.channel.send_map(0x07, &Leave { q: 3 })?;
        self.answer::<Done>(0x42).map(drop)
    }
}
