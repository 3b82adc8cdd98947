//! What the router of this network lets in: asked for when others do not reach us, told to the tracker.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::identity::Identity;
use common::lock::Unpoisoned as _;

use super::Net;
use crate::announcer::is_public;
use crate::api::event::{Level, Target};
use crate::api::snapshot;
use crate::portmap::{self, Lease, Left, Standing, Todo};
use crate::session::Session;
use crate::session::done::Done;

/// See the module.
pub(in crate::session) struct Mapping {
    lease: Lease,
    /// Whether a connection that a router lets in comes to where we listen.
    listens: bool,
    /// For the announcer.
    told: Arc<Mutex<Option<SocketAddr>>>,
}

impl Mapping {
    pub(super) fn new(now: Instant, listen: SocketAddr, identity: &Identity) -> Self {
        let nonce = nonce(identity, listen.port());
        // Routers translate IPv4.
        let listens = match listen.ip().to_canonical() {
            IpAddr::V4(ip) => !ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_unspecified(),
        };
        let told = Arc::default();
        Self { lease: Lease::new(now, listen.port(), nonce), listens, told }
    }

    /// Where others are let in, by the router's word.
    pub(in crate::session) fn outside(&self) -> Option<SocketAddr> {
        self.lease.outside().map(SocketAddrV4::into)
    }

    /// The same at any time.
    pub(super) fn told(&self) -> impl Fn() -> Option<SocketAddr> + Send + Sync + 'static {
        let told = Arc::clone(&self.told);
        move || *told.lock().unpoisoned()
    }

    pub(in crate::session) fn view(&self) -> Option<snapshot::Mapping> {
        let not = || self.lease.why_not().map(|why| snapshot::Mapping::Not(why.to_string()));
        self.outside().map(snapshot::Mapping::At).or_else(not)
    }

    pub(super) fn look_again(&mut self, now: Instant) {
        self.lease.look_again(now);
    }

    pub(in crate::session) fn due(&self) -> Option<Instant> {
        self.lease.due()
    }

    /// Gives back what is held, or takes back what was asked, for good.
    pub(in crate::session) fn give_back(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let left = self.lease.end();
        async move {
            match left {
                Some(Left::Granted(held)) => portmap::give_back(held).await,
                Some(Left::Asked(question)) => portmap::take_back(question).await,
                None => {}
            }
        }
    }
}

/// By which a router knows that it is ours: the same in the next run, so that what a program that was killed left behind can
/// be renewed (RFC 6887, 11.3), and nobody else's guess. Signatures of Ed25519 are the same each time.
fn nonce(identity: &Identity, port: u16) -> [u32; 3] {
    let signed = identity.sign(format!("shoal port mapping {port}").as_bytes());
    let mut words = signed.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
    [(); 3].map(|()| words.next().unwrap_or(0))
}

impl Net {
    /// Whether it is of use that a router lets others in.
    fn standing(&self, wanted: bool) -> Standing {
        let off = self.announcer.is_none() || !self.behind_router || !self.mapping.listens;
        match self.looked.map(|looked| looked.reachable) {
            _ if !wanted || off => Standing::Off,
            Some(false) => Standing::Shut,
            // The tracker may be let in because we had called it.
            Some(true) if self.punches == Some(true) => Standing::Unsure,
            Some(true) => Standing::Open,
            None => Standing::Unsure,
        }
    }

    fn seen_as_v4(&self) -> Option<Ipv4Addr> {
        match self.seen_as? {
            // A router cannot give what others reach in a private network of the tracker's.
            IpAddr::V4(ip) => Some(ip).filter(|ip| is_public((*ip).into())),
            IpAddr::V6(_) => None,
        }
    }
}

impl Session {
    /// Asks the router what is to be asked.
    pub(in crate::session) fn check_mapping(&mut self, now: Instant) {
        let seen_as = self.net.seen_as_v4();
        let standing = match seen_as {
            Some(_) => self.net.standing(self.config.portmap),
            None => Standing::Off,
        };
        self.net.mapping.lease.stand(now, standing, seen_as);
        while let Some(todo) = self.net.mapping.lease.next(now) {
            match todo {
                Todo::Ask(question) => self.background.task(async move {
                    let answer = portmap::ask(question).await;
                    Some(Done::new(move |session| session.on_mapping_answer(answer)))
                }),
                Todo::GiveBack(granted) => self.background.task(async move {
                    portmap::give_back(granted).await;
                    None
                }),
            }
        }
        self.tell_mapping();
    }

    fn on_mapping_answer(&mut self, answer: Result<portmap::Granted, portmap::Why>) {
        let before = self.net.mapping.view();
        self.net.mapping.lease.answered(Instant::now(), answer);
        let view = self.net.mapping.view();
        if let Some(view) = view.filter(|view| before.as_ref() != Some(view)) {
            let is_mapped = matches!(view, snapshot::Mapping::At(_));
            // Most routers do not: files come and go all the same.
            let level = if is_mapped { Level::Info } else { Level::Debug };
            self.log(level, Target::Net, view.words());
        }
        self.tell_mapping();
    }

    /// Has the announcer tell the tracker when the address outside is another.
    fn tell_mapping(&mut self) {
        let outside = self.net.mapping.outside();
        let told = std::mem::replace(&mut *self.net.mapping.told.lock().unpoisoned(), outside);
        if told != outside {
            // There nobody has looked.
            self.net.looked = None;
            self.changed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_knows_us_again_after_a_crash_and_nobody_else() {
        let of = |n: u8, port| nonce(&Identity::from_seed(&[n; 32]).unwrap(), port);
        assert_eq!(of(1, 7421), of(1, 7421));
        assert!(of(1, 7421) != of(2, 7421) && of(1, 7421) != of(1, 7422));
        assert!(of(1, 7421).iter().all(|word| *word != 0));
    }
}
