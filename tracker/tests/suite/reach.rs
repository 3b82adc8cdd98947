//! Where peers are reached: both families, and who is asked to dial whom.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::support::{Client, Running, Who, address, digest, file, id, identity, quick};
use common::channel::{Channel, Purpose};
use common::id::PeerId;
use common::wire::Code;
use common::wire::tracker::{FileMeta, Reply, Request, Source};
use tokio::net::TcpListener;
use tracker::index::{Arrival, Index, Limits, SessionId, named_outside};
use tracker::{Config, ServerLimits};

const NOW: u64 = 1_700_000_000_000;

fn key(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn arrival(n: u8, observed: &str) -> Arrival {
    Arrival {
        peer: key(n),
        nick: format!("peer {n}"),
        observed: observed.parse().unwrap(),
        via: IpAddr::from([203, 0, 113, 99]),
        port: 7000 + u16::from(n),
        local: vec![format!("192.168.0.{n}:7000").parse().unwrap()],
        digest: digest(&[]),
    }
}

struct World {
    index: Index,
    rng: fastrand::Rng,
    file: FileMeta,
}

impl World {
    fn new() -> Self {
        let (index, rng) = (Index::new(Limits::default()), fastrand::Rng::with_seed(7));
        Self { index, rng, file: file("a", 1) }
    }

    fn join(&mut self, n: u8, observed: &str) -> SessionId {
        self.index.arrive(NOW, arrival(n, observed)).unwrap().session
    }

    fn seed(&mut self, n: u8, observed: &str) -> SessionId {
        let session = self.join(n, observed);
        let files = std::slice::from_ref(&self.file);
        self.index.register(NOW, session, files, false, false).unwrap();
        session
    }

    fn ask(&mut self, session: SessionId, source: u8) -> Option<SessionId> {
        self.index.ask_to_dial(NOW, session, id(&self.file), key(source))
    }

    fn locate(&mut self, session: SessionId) -> Vec<Source> {
        self.index.locations(session, id(&self.file), 50, &mut self.rng).unwrap().sources
    }

    fn told(&mut self, session: SessionId) -> Option<Source> {
        match self.index.poll(session, &mut self.rng)? {
            Reply::Dial { id: of, who } if of == id(&self.file) => Some(who),
            _ => None,
        }
    }
}

fn words(addrs: &[SocketAddr]) -> Vec<String> {
    addrs.iter().map(ToString::to_string).collect()
}

#[test]
fn who_has_both_families_is_reached_over_both() {
    let mut world = World::new();
    world.seed(1, "203.0.113.1");
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    assert_eq!(world.index.seen_also(key(9), v6), None, "it is not connected");
    let same = world.index.seen_also(key(1), "203.0.113.7".parse().unwrap());
    assert_eq!(same, None, "the same family");
    assert!(world.index.seen_also(key(1), v6).is_some_and(|touched| touched > 0));
    assert_eq!(world.index.seen_also(key(1), v6), Some(0), "nothing new");
    let viewer = world.join(2, "2001:db8:7::2");
    let seen = world.locate(viewer).remove(0).addrs;
    assert_eq!(words(&seen), ["203.0.113.1:7001", "[2001:db8::1]:7001"]);
    // It came back from the same place: still there. From another: not known there.
    world.index.arrive(NOW, arrival(1, "203.0.113.1")).unwrap();
    let session = world.index.arrive(NOW, arrival(1, "203.0.113.1")).unwrap().session;
    world.index.register(NOW, session, &[world.file.clone()], false, false).unwrap();
    assert_eq!(world.locate(viewer).remove(0).addrs.len(), 2);
    let session = world.index.arrive(NOW, arrival(1, "203.0.113.200")).unwrap().session;
    world.index.register(NOW, session, &[world.file.clone()], false, false).unwrap();
    assert_eq!(words(&world.locate(viewer).remove(0).addrs), ["203.0.113.200:7001"]);
}

#[test]
fn who_is_in_one_ipv6_network_gets_local_addresses() {
    let mut world = World::new();
    world.seed(1, "2001:db8:0:5::1");
    for (n, observed, addresses) in [(2, "2001:db8:0:5::2", 2), (3, "2001:db8:0:6::2", 1)] {
        let viewer = world.join(n, observed);
        assert_eq!(world.locate(viewer).remove(0).addrs.len(), addresses, "{observed}");
    }
    // Seen elsewhere over IPv6, and behind the same router over IPv4.
    assert!(world.index.seen_also(key(1), "203.0.113.1".parse().unwrap()).is_some());
    let viewer = world.join(4, "203.0.113.1");
    assert_eq!(world.locate(viewer).remove(0).addrs.len(), 3);
}

#[test]
fn local_addresses_are_of_ones_own_network_and_may_change() {
    let mut world = World::new();
    let seed = world.seed(1, "203.0.113.1");
    let viewer = world.join(2, "203.0.113.1");
    let local = |text: &[&str]| text.iter().map(|addr| addr.parse().unwrap()).collect();
    // A neighbour's word: no third party, whoever says so.
    let named = ["192.0.2.80:80", "10.0.0.7:7001", "[2001:db8::80]:80", "[fd00::7]:7001"];
    assert!(world.index.has_moved(seed, local(&named)) > 0);
    let seen = world.locate(viewer).remove(0).addrs;
    assert_eq!(words(&seen), ["203.0.113.1:7001", "10.0.0.7:7001", "[fd00::7]:7001"]);
    assert_eq!(world.index.has_moved(seed, local(&named)), 0, "nothing new");
    // An address of the network where it is seen over IPv6 is its own.
    world.index.seen_also(key(1), "2001:db8::1".parse().unwrap()).unwrap();
    assert_eq!(world.locate(viewer).remove(0).addrs.len(), 5);
}

/// Where strangers are told that the peer 1 is.
fn told_to_strangers(world: &mut World, viewer: SessionId) -> Vec<String> {
    words(&world.locate(viewer).remove(0).addrs)
}

#[test]
fn who_is_let_in_by_its_router_at_another_port_is_dialled_there() {
    let mut world = World::new();
    let seed = world.seed(1, "203.0.113.1");
    let viewer = world.join(2, "198.51.100.2");
    let neighbour = world.join(3, "203.0.113.1");
    let local = |text: &[&str]| text.iter().map(|addr| addr.parse().unwrap()).collect();
    let mapped = ["192.168.0.1:7001", "203.0.113.1:4711"];
    world.index.has_moved(seed, local(&mapped));
    assert_eq!(told_to_strangers(&mut world, viewer), ["203.0.113.1:7001"], "by its word alone");
    let near = ["203.0.113.1:7001", "192.168.0.1:7001"];
    assert_eq!(told_to_strangers(&mut world, neighbour), near, "nor to who is near");
    assert_eq!(world.index.was_reached(seed, 4711, false), 0);
    assert_eq!(world.index.was_reached(seed, 22, true), 0, "it never named that port");
    assert_eq!(told_to_strangers(&mut world, viewer), ["203.0.113.1:7001"]);
    assert!(world.index.was_reached(seed, 4711, true) > 0);
    assert_eq!(told_to_strangers(&mut world, viewer), ["203.0.113.1:4711"]);
    // It is lost for a moment, and comes back with the same.
    let local_of = |text: &[&str]| Arrival { local: local(text), ..arrival(1, "203.0.113.1") };
    let back = |world: &mut World, arrival| {
        let session = world.index.arrive(NOW, arrival).unwrap().session;
        world
            .index
            .register(NOW, session, std::slice::from_ref(&world.file), false, false)
            .unwrap();
        session
    };
    let seed = back(&mut world, local_of(&mapped));
    assert_eq!(told_to_strangers(&mut world, viewer), ["203.0.113.1:4711"]);
    // The router took it back, or has another.
    world.index.has_moved(seed, local(&["203.0.113.1:4712"]));
    assert_eq!(told_to_strangers(&mut world, viewer), ["203.0.113.1:7001"]);
    world.index.was_reached(seed, 4712, true);
    back(&mut world, arrival(1, "203.0.113.200"));
    assert_eq!(told_to_strangers(&mut world, viewer), ["203.0.113.200:7001"]);
}

#[test]
fn nobody_sends_others_to_a_third_party_by_a_port_of_its_router() {
    let seen: IpAddr = "203.0.113.1".parse().unwrap();
    let named = |text: &str| named_outside(&[text.parse().unwrap()], seen);
    assert_eq!(named("203.0.113.1:4711"), Some(4711));
    assert_eq!(named("[::ffff:203.0.113.1]:4711"), Some(4711));
    assert_eq!(named("203.0.113.2:4711"), None);
    assert_eq!(named("203.0.113.1:0"), None);
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    assert_eq!(named_outside(&["[2001:db8::1]:4711".parse().unwrap()], v6), None);
    let mut world = World::new();
    let seed = world.seed(1, "203.0.113.1");
    let viewer = world.join(2, "198.51.100.2");
    world.index.has_moved(seed, vec!["203.0.113.2:4711".parse().unwrap()]);
    world.index.was_reached(seed, 4711, true);
    assert_eq!(told_to_strangers(&mut world, viewer), ["203.0.113.1:7001"]);
}

#[test]
fn a_source_that_cannot_be_reached_is_asked_to_dial() {
    let mut world = World::new();
    let seed = world.seed(1, "203.0.113.1");
    let getter = world.join(2, "198.51.100.2");
    assert_eq!(world.locate(getter).len(), 1);
    assert_eq!(world.ask(getter, 1), Some(seed));
    let who = world.told(seed).unwrap();
    assert_eq!((who.peer, words(&who.addrs)), (key(2), vec!["198.51.100.2:7002".to_owned()]));
    assert_eq!(world.told(seed), None, "once");
    // Gone before it was told.
    assert_eq!(world.ask(getter, 1), Some(seed));
    world.index.depart(NOW, getter);
    assert_eq!(world.told(seed), None);
}

#[test]
fn nobody_can_have_others_dial_without_being_told_of_them() {
    let mut world = World::new();
    let seed = world.seed(1, "203.0.113.1");
    let stranger = world.join(3, "198.51.100.3");
    assert_eq!(world.ask(stranger, 1), None, "it was not told of the source");
    assert_eq!(world.locate(stranger).len(), 1);
    assert_eq!(world.ask(stranger, 9), None, "nobody");
    assert_eq!(world.ask(stranger, 3), None, "itself");
    assert_eq!(world.ask(seed, 3), None, "who has nothing of it");
    assert_eq!(world.index.ask_to_dial(NOW, stranger, id(&file("b", 2)), key(1)), None);
    assert_eq!(world.ask(stranger, 1), Some(seed));
    let deaf = Arrival { port: 0, ..arrival(4, "198.51.100.4") };
    let deaf = world.index.arrive(NOW, deaf).unwrap().session;
    world.locate(deaf);
    assert_eq!(world.ask(deaf, 1), None, "it does not listen");
}

#[test]
fn a_crowd_has_a_peer_dial_only_so_often() {
    let mut world = World::new();
    let seed = world.seed(1, "203.0.113.1");
    let mut told = 0;
    for round in 0..10 {
        let mut asked = 0;
        for n in 10..210 {
            let getter = world.join(n, &format!("198.51.100.{n}"));
            world.locate(getter);
            asked += u32::from(world.ask(getter, 1).is_some());
        }
        // No more wait than that, and no more in ten seconds than a hundred.
        assert!(asked <= 32, "{round}: {asked}");
        while world.told(seed).is_some() {
            told += 1;
        }
    }
    assert_eq!(told, 100);
    // Of one address many less, so that others have their turn.
    let mut of_one = 0;
    for n in 10..210 {
        let getter = world.join(n, "192.0.2.1");
        world.locate(getter);
        let asked = world.index.ask_to_dial(NOW + 20_000, getter, id(&world.file), key(1));
        of_one += u32::from(asked.is_some());
        while world.told(seed).is_some() {}
    }
    assert_eq!(of_one, 20);
    let getter = world.join(9, "198.51.100.9");
    world.locate(getter);
    let later = world.index.ask_to_dial(NOW + 20_000, getter, id(&world.file), key(1));
    assert_eq!(later, Some(seed));
}

/// Everything a session is told about calls.
fn calls(world: &mut World, session: SessionId) -> Vec<(PeerId, Vec<String>)> {
    let mut all = Vec::new();
    while let Some(push) = world.index.poll(session, &mut world.rng) {
        if let Reply::Punch { who, .. } = push {
            all.push((who.peer, words(&who.addrs)));
        }
    }
    all
}

#[test]
fn two_behind_routers_call_each_other_where_their_own_connections_come_from() {
    let mut world = World::new();
    let seed = world.seed(1, "203.0.113.1");
    let getter = world.join(2, "198.51.100.2");
    let ask =
        |world: &mut World, getter| world.index.ask_to_punch(NOW, getter, id(&world.file), key(1));
    world.index.may_punch(seed, Some(40_001));
    world.index.may_punch(getter, Some(40_002));
    assert_eq!(ask(&mut world, getter), None, "it was not told of the source");
    world.locate(getter);
    assert_eq!(ask(&mut world, getter), Some(seed));
    assert_eq!(ask(&mut world, getter), None, "it waits already");
    let [to_seed, to_getter] = [seed, getter].map(|session| calls(&mut world, session));
    assert_eq!(to_seed, [(key(2), vec!["198.51.100.2:40002".to_owned()])]);
    assert_eq!(to_getter, [(key(1), vec!["203.0.113.1:40001".to_owned()])]);
    // Over IPv6 routers filter and do not translate: there each is at its own port.
    let v6 = |n: u8| IpAddr::from([0x2001, 0xdb8, n.into(), 0, 0, 0, 0, 1]);
    world.index.seen_also(key(1), v6(1)).unwrap();
    assert_eq!(ask(&mut world, getter), Some(seed));
    assert_eq!(calls(&mut world, getter)[0].1, ["203.0.113.1:40001"], "it has no IPv6 itself");
    world.index.seen_also(key(2), v6(2)).unwrap();
    calls(&mut world, seed);
    assert_eq!(ask(&mut world, getter), Some(seed));
    let [to_seed, to_getter] = [seed, getter].map(|session| calls(&mut world, session));
    assert_eq!(to_seed[0].1, ["198.51.100.2:40002", "[2001:db8:2::1]:7002"]);
    assert_eq!(to_getter[0].1, ["203.0.113.1:40001", "[2001:db8:1::1]:7001"]);
    // Gone before it was told: nobody calls a place where nobody is.
    assert_eq!(ask(&mut world, getter), Some(seed));
    world.index.depart(NOW, getter);
    assert!(calls(&mut world, seed).is_empty());
}

#[test]
fn nobody_is_called_in_vain() {
    let mut world = World::new();
    let seed = world.seed(1, "203.0.113.1");
    world.index.may_punch(seed, Some(40_001));
    let mut ask = |n: u8, observed: &str, port: Option<u16>| {
        let getter = world.join(n, observed);
        world.index.may_punch(getter, port);
        world.locate(getter);
        let asked = world.index.ask_to_punch(NOW, getter, id(&world.file), key(1)).is_some();
        (getter, asked)
    };
    assert!(!ask(2, "198.51.100.2", None).1, "an older peer, or its port cannot be shared");
    let (neighbour, asked) = ask(3, "203.0.113.1", Some(1));
    assert!(!asked, "behind the same router");
    assert!(!ask(4, "127.0.0.1", Some(1)).1, "on the tracker's machine");
    assert!(!ask(5, "2001:db8::5", Some(1)).1, "no family in common");
    let (getter, asked) = ask(6, "198.51.100.6", Some(1));
    assert!(asked);
    // Who is reached at an address of its own is dialled by the other; a router may let in the tracker alone.
    world.index.was_reached(getter, 7006, true);
    [seed, getter].into_iter().for_each(|session| _ = calls(&mut world, session));
    let id = id(&world.file);
    assert!(world.index.ask_to_punch(NOW, getter, id, key(1)).is_some());
    world.index.has_moved(getter, vec!["198.51.100.6:7006".parse().unwrap()]);
    [seed, getter].into_iter().for_each(|session| _ = calls(&mut world, session));
    let asked = world.index.ask_to_punch(NOW, getter, id, key(1));
    assert!(asked.is_some(), "its router lets others in there by its word, nobody has looked");
    world.index.was_reached(getter, 7006, true);
    [seed, getter].into_iter().for_each(|session| _ = calls(&mut world, session));
    assert_eq!(world.index.ask_to_punch(NOW, getter, id, key(1)), None);
    // It is its router's, and what let the tracker in may be the hole of its own call.
    let local = ["192.168.0.6:7006", "198.51.100.6:7006"].map(|addr| addr.parse().unwrap());
    world.index.has_moved(getter, local.to_vec());
    world.index.was_reached(getter, 7006, true);
    [seed, getter].into_iter().for_each(|session| _ = calls(&mut world, session));
    assert!(world.index.ask_to_punch(NOW, getter, id, key(1)).is_some());
    // Homes that share an address of IPv4, each with a network of IPv6.
    let v6 = |n: u16| IpAddr::from([0x2001, 0xdb8, n, 0, 0, 0, 0, 1]);
    world.index.seen_also(key(1), v6(1)).unwrap();
    world.index.seen_also(key(3), v6(3)).unwrap();
    calls(&mut world, seed);
    assert_eq!(world.index.ask_to_punch(NOW, neighbour, id, key(1)), Some(seed));
    assert_eq!(calls(&mut world, seed)[0].1, ["[2001:db8:3::1]:7003"]);
}

/// Machines with a network for payload beside the one where the tracker is.
#[test]
fn who_is_in_another_network_of_a_peer_is_told_of_its_address_there() {
    let mut world = World::new();
    let seed = world.seed(1, "10.1.0.1");
    let local = [
        // A printer, an address that everybody in an overlay has, and a third party.
        "10.2.0.9:9100",
        "100.64.0.1:7001",
        "203.0.113.7:7001",
        "10.3.0.1:7001",
        "10.2.0.1:7001",
        "10.4.0.1:7001",
        "10.5.0.1:7001",
    ];
    world.index.has_moved(seed, local.map(|addr| addr.parse().unwrap()).to_vec());
    let mut told = |n: u8, observed: &str, local: &[&str]| {
        let getter = world.join(n, observed);
        world.index.has_moved(getter, local.iter().map(|addr| addr.parse().unwrap()).collect());
        words(&world.locate(getter)[0].addrs)
    };
    let seen = "10.1.0.1:7001";
    assert_eq!(told(2, "10.1.0.2", &["10.2.0.2:7002", "100.64.0.2:7002"]), [seen, "10.2.0.1:7001"]);
    assert_eq!(told(3, "10.1.0.3", &["10.9.0.3:7003"]), [seen], "it is in none of them");
    assert_eq!(told(4, "10.1.0.4", &["10.2.0.1:7004"]), [seen], "it would be itself");
    assert_eq!(told(5, "198.51.100.5", &["10.2.0.5:7005"]), [seen], "its 10.2.0 is another");
    let many = ["10.2.0.6:7006", "10.3.0.6:7006", "10.4.0.6:7006", "10.5.0.6:7006"];
    assert_eq!(told(6, "10.1.0.6", &many).len(), 3, "no more than two beside");
}

#[test]
fn a_crowd_has_a_peer_call_only_so_often() {
    let mut world = World::new();
    let seed = world.seed(1, "203.0.113.1");
    world.index.may_punch(seed, Some(40_001));
    let mut told = 0;
    for n in 10..210 {
        let getter = world.join(n, &format!("198.51.100.{n}"));
        world.index.may_punch(getter, Some(1));
        world.locate(getter);
        world.index.ask_to_punch(NOW, getter, id(&world.file), key(1));
        told += calls(&mut world, seed).len();
    }
    assert_eq!(told, 100, "in ten seconds");
    // None of that is taken from dials that others ask for.
    let getter = world.join(250, "198.51.100.250");
    world.locate(getter);
    assert_eq!(world.ask(getter, 1), Some(seed));
}

#[tokio::test]
async fn who_cannot_reach_a_source_is_told_to_call_it_while_that_calls() {
    let tracker = Running::start(quick()).await;
    let thing = file("a", 1);
    let at = |n: u8| Who { punches: true, ..Who::sharing(n, std::slice::from_ref(&thing)) };
    let (mut seed, _) = Client::greet_from(11, &tracker.join, &at(1)).await;
    let register =
        Request::Register { q: 900, files: vec![thing.clone()], more: false, full: true };
    assert!(matches!(seed.ask(900, &register).await, Reply::Done { .. }));
    let getter = Who { punches: true, ..Who::new(2) };
    let (mut getter, welcome) = Client::greet_from(12, &tracker.join, &getter).await;
    let Reply::Welcome(welcome) = welcome else { panic!("{welcome:?}") };
    let find = Request::FileLocations { q: 901, id: id(&thing), want: 5 };
    assert!(matches!(getter.ask(901, &find).await, Reply::Locations { .. }));
    getter.send(&Request::DialMe { id: id(&thing), peer: seed.me }).await;
    let mut to_seed = None;
    loop {
        match seed.push().await {
            Reply::Punch { who, .. } => to_seed = Some(who),
            // What an older peer is told, it is told too.
            Reply::Dial { who, .. } => {
                assert_eq!(who.peer, getter.me);
                break;
            }
            _ => {}
        }
    }
    assert_eq!(to_seed.map(|who| (who.peer, who.addrs)), Some((getter.me, vec![welcome.observed])));
    loop {
        if let Reply::Punch { id: of, who, wait_ms } = getter.push().await {
            assert_eq!((of, who.peer, wait_ms), (id(&thing), seed.me, 100));
            assert_eq!(who.addrs[0].ip(), IpAddr::from([127, 0, 0, 11]));
            break;
        }
    }
    tracker.stop().await;
}

#[tokio::test]
async fn a_second_connection_shows_where_a_peer_is_too() {
    let listener = common::net::listen("[::]:0".parse().unwrap()).unwrap();
    if listener.local_addr().unwrap().is_ipv4() {
        // A machine without IPv6 has no second family.
        return;
    }
    let tracker = Running::listening(quick(), listener).await;
    let (_seed, welcome) = Client::connect(&tracker.join, &Who::new(1)).await;
    assert_eq!(
        welcome.other_family,
        Some(vec![]),
        "ALSO is understood; who is on this machine needs none"
    );
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, address(&tracker.join).port()));
    // Nobody that is here.
    let mut stranger = Client::dial_at(v6, &tracker.join, &identity(2)).await;
    let refused = stranger.ask(5, &Request::Also { q: 5 }).await;
    assert!(matches!(refused, Reply::Error { code: Code::NotMember, .. }), "{refused:?}");
    let mut also = Client::dial_at(v6, &tracker.join, &identity(1)).await;
    let Reply::Seen { q: 6, observed } = also.ask(6, &Request::Also { q: 6 }).await else {
        panic!("not seen");
    };
    assert_eq!(observed.ip(), Ipv6Addr::LOCALHOST);
    assert_eq!(also.next().await, None, "that was all");
    tracker.stop().await;
}

/// The peer at `port`, reached over an address of this machine that is not loopback, and what it is told.
async fn reachable(tracker: &Running, own: IpAddr, n: u8, port: u16) -> bool {
    reachable_outside(tracker, own, n, (port, None)).await
}

/// The same for one that says that a router lets others in at an address.
async fn reachable_outside(
    tracker: &Running,
    own: IpAddr,
    n: u8,
    (port, outside): (u16, Option<SocketAddr>),
) -> bool {
    let at = SocketAddr::new(own, address(&tracker.join).port());
    let mut client = Client::dial_at(at, &tracker.join, &identity(n)).await;
    let mut hello = client.hello(&Who { port, ..Who::new(n) });
    hello.local.extend(outside);
    client.send(&Request::Hello(hello)).await;
    assert!(matches!(client.receive().await, Reply::Welcome(_)));
    loop {
        if let Reply::Reach { reachable, .. } = client.push().await {
            return reachable;
        }
    }
}

#[tokio::test]
async fn a_tracker_looks_only_where_it_sees_a_peer() {
    let own = common::net::own_addresses().into_iter().map(|own| own.ip).find(IpAddr::is_ipv4);
    // A machine without a network is in none.
    let Some(own) = own else { return };
    let everywhere = common::net::listen("0.0.0.0:0".parse().unwrap()).unwrap();
    let server = ServerLimits { probe_links: true, ..ServerLimits::default() };
    let tracker = Running::listening(Config { server, ..quick() }, everywhere).await;
    let peers = TcpListener::bind((own, 0)).await.unwrap();
    let port = peers.local_addr().unwrap().port();
    tokio::spawn(async move {
        // The right key, and then a wrong one; and one that a router lets in there.
        for n in [1, 9, 5] {
            let (stream, _) = peers.accept().await.unwrap();
            let _ = Channel::new(&identity(n)).unwrap().accept(stream, Purpose::Peer).await;
        }
    });
    assert!(reachable(&tracker, own, 1, port).await);
    assert!(!reachable(&tracker, own, 2, port).await, "somebody else is there");
    let outside = Some(SocketAddr::new(own, port));
    assert!(
        reachable_outside(&tracker, own, 5, (1, outside)).await,
        "at that port, not at its own"
    );
    assert!(!reachable(&tracker, own, 3, port).await, "nobody is there any more");
    // One at loopback could be any program of the tracker's own machine.
    let loopback = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let who = Who { port: loopback.local_addr().unwrap().port(), ..Who::new(4) };
    let (mut client, _) = Client::connect(&tracker.join, &who).await;
    client.sync().await;
    assert!(client.pushes.is_empty());
    let knock = tokio::time::timeout(Duration::from_millis(200), loopback.accept()).await;
    assert!(knock.is_err(), "{knock:?}");
    tracker.stop().await;
}
