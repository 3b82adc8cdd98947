//! Messages that are maps, with the keys that are of use here; what is optional and not needed is left out.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::tree::sha256;
use crate::{Hash, Res};

/// A map is a struct whose fields are its keys.
macro_rules! maps {
    ($($(#[$about:meta])* $name:ident { $($(#[$how:meta])* $key:ident: $type:ty),* })*) => {
        $($(#[$about])* #[derive(Serialize, Deserialize)]
        pub(crate) struct $name { $($(#[$how])* pub(crate) $key: $type),* })*
    };
}

maps! {
    /// 9.1
    TrackerHello {
        v: (u8, u8), a: String, p: u16, g: ByteBuf,
        #[serde(skip_serializing_if = "Option::is_none")] x: Option<ByteBuf>
    }
    FileList { q: u32, t: String, c: ByteBuf, n: u16, s: u8 }
    FileLocations { q: u32, i: ByteBuf, n: u16 }
    Leave { q: u32 }
    /// 9.2
    Welcome { m: ByteBuf }
    Done { q: u32 }
    Files { f: Vec<Row>, c: ByteBuf }
    Row { f: File }
    File { d: Descriptor, n: String, c: u32 }
    Locations { s: Vec<Source> }
    Source { k: ByteBuf, a: Vec<Addr>, h: u32 }
    /// ERROR and BYE.
    Why { e: u8, #[serde(default)] t: String }
    /// 7.3
    Descriptor { k: u8, z: u64, r: ByteBuf }
    /// 11.1
    PeerHello { v: (u8, u8), a: String, m: ByteBuf, p: u16, q: u32 }
    Open { h: u16, i: ByteBuf, s: u8, w: bool }
    OpenOk { d: Descriptor, s: u8 }
    OpenNo { e: u8 }
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Addr {
    V4([u8; 4], u16),
    V6([u8; 16], u16),
}

impl Descriptor {
    /// 7.3
    pub(crate) fn id(&self) -> Res<Hash> {
        let root: Hash = self.r.as_slice().try_into()?;
        Ok(sha256(&[b"shoal/1".as_slice(), &[self.k], &self.z.to_be_bytes(), &root].concat()))
    }
}

impl Source {
    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        let addr = |addr: &Addr| match addr {
            Addr::V4(ip, port) => SocketAddr::from((*ip, *port)),
            Addr::V6(ip, port) => SocketAddr::from((*ip, *port)),
        };
        self.a.iter().map(addr).collect()
    }
}
