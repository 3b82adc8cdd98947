//! The sockets: `mdns_sd` sends and hears on a thread of its own, which ends with what was asked of it.
//!
//! It keeps what it hears without a bound of its own. So it is asked every few seconds how much that is, ended when it
//! is more than any network has, and begun anew after a rest. While packets come faster than it reads them it answers
//! nothing and cannot be ended: what goes on by itself begins no other beside it (what is begun anew does), and what a machine of the same local network can do to it is
//! in THREATS.md.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use mdns_sd::{IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::announced::{Announced, SERVICE};
use super::place::Place;
use super::table::{Heard, NearNetwork, Table};
use crate::net::Links;

/// How often it is looked how much is kept.
const CHECK: Duration = Duration::from_secs(2);
/// Records kept: a network full of trackers has some six for each, and what else speaks multicast DNS leaves some.
const MAX_RECORDS: i64 = 2000;
/// Points in time kept, two for each time that a record is heard until its time is over: more than honest ones make in
/// the 75 minutes that they hold.
const MAX_TIMERS: i64 = 100_000;
/// How often everybody is asked anew, so that who is still there is known from who was.
const ASK: Duration = Duration::from_secs(60);
/// How often the thread looks for interfaces that came or went; and how often it is tried whether there is one.
const INTERFACES_S: u32 = 15;
const RETRY: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 15 });
/// Pause before it is begun anew; twice as long each time, up to the longest.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// A thread that lasted so long was not flooded: it has only grown.
const LASTED: Duration = Duration::from_secs(3600);
/// For an answer of the thread.
const PATIENCE: Duration = Duration::from_secs(1);
/// For saying goodbye to the network.
const GOODBYE: Duration = Duration::from_millis(500);
/// How often a thread that does not keep up is asked to end.
const MAX_ASKED: u32 = 600;
/// Entries of a TXT record that are looked at.
const MAX_ENTRIES: usize = 16;

/// What is near.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Near {
    /// In the order of appearance.
    pub networks: Vec<NearNetwork>,
    /// Why it cannot be known, if so.
    pub trouble: Option<String>,
}

/// Looks for networks near until it is dropped.
#[derive(Debug)]
pub struct Looking {
    near: watch::Receiver<Near>,
    task: JoinHandle<()>,
}

/// Begins to look. Needs a tokio runtime with time.
pub fn look(place: Place) -> Looking {
    let (tell, near) = watch::channel(Near::default());
    Looking { near, task: tokio::spawn(keep_looking(place, tell)) }
}

impl Looking {
    /// What is known now.
    pub fn now(&mut self) -> Near {
        self.near.borrow_and_update().clone()
    }

    /// Resolves when something has changed since [`Self::now`]; never if nothing will.
    pub async fn changed(&mut self) {
        if self.near.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A tracker announces itself until this is dropped or stopped.
#[derive(Debug)]
pub struct Announcing {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Begins to announce a tracker that listens on `ip` (all addresses of this machine if that is unspecified). `failed`
/// is told why nothing is announced, once until something is; it is tried again. Needs a tokio runtime with time.
pub fn announce(
    place: Place,
    said: Announced,
    ip: IpAddr,
    failed: impl Fn(String) + Send + 'static,
) -> Announcing {
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(keep_announcing(place, said, ip, stopped, failed));
    Announcing { stop: Some(stop), task }
}

impl Announcing {
    /// Takes leave of the network, within a second.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = timeout(PATIENCE, &mut self.task).await;
    }
}

impl Drop for Announcing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_looking(place: Place, tell: watch::Sender<Near>) {
    let links = Links::new();
    let mut rest = Rest::default();
    while !tell.is_closed() {
        let daemon = match Daemon::start(place).await {
            Ok(daemon) => daemon,
            Err(why) => {
                tell_trouble(&tell, why);
                sleep(RETRY).await;
                continue;
            }
        };
        let begun = Instant::now();
        match listen(&daemon, &links, &tell).await {
            Ok(()) => tell_trouble(&tell, CROWDED.to_owned()),
            Err(why) => tell_trouble(&tell, why),
        }
        daemon.end().await;
        sleep(rest.after(begun.elapsed())).await;
    }
}

/// Why nothing is known for a while.
const CROWDED: &str = "more is announced in the local network than there is room for";

/// What was known before is not looked after any more.
fn tell_trouble(tell: &watch::Sender<Near>, why: String) {
    let news = Near { networks: Vec::new(), trouble: Some(why) };
    tell.send_if_modified(|near| {
        let changed = *near != news;
        *near = news;
        changed
    });
}

async fn keep_announcing(
    place: Place,
    said: Announced,
    ip: IpAddr,
    mut stopped: oneshot::Receiver<()>,
    failed: impl Fn(String) + Send + 'static,
) {
    let mut rest = Rest::default();
    let mut told = false;
    loop {
        let begun = Instant::now();
        let pause = match registered(place, &said, ip).await {
            Err(why) => {
                if !std::mem::replace(&mut told, true) {
                    failed(why);
                }
                RETRY
            }
            Ok((daemon, name)) => {
                told = false;
                tokio::select! {
                    _ = &mut stopped => {
                        if let Ok(left) = daemon.mdns.unregister(&name) {
                            let _ = timeout(GOODBYE, left.recv_async()).await;
                        }
                        return;
                    }
                    () = daemon.crowded() => {}
                }
                daemon.end().await;
                rest.after(begun.elapsed())
            }
        };
        tokio::select! {
            _ = &mut stopped => return,
            () = sleep(pause) => {}
        }
    }
}

/// A thread that announces this, and the whole name of what it announces.
async fn registered(
    place: Place,
    said: &Announced,
    ip: IpAddr,
) -> Result<(Daemon, String), String> {
    let service = service(said, ip).map_err(|error| error.to_string())?;
    let name = service.get_fullname().to_owned();
    let daemon = Daemon::start(place).await?;
    daemon.mdns.register(service).map_err(|error| error.to_string())?;
    Ok((daemon, name))
}

/// How long nothing is begun anew.
#[derive(Default)]
struct Rest(Duration);

impl Rest {
    /// After a thread that lasted so long.
    fn after(&mut self, lasted: Duration) -> Duration {
        if lasted >= LASTED {
            self.0 = Duration::ZERO;
        }
        self.0 = self.0.saturating_mul(2).clamp(PAUSE, LONGEST_PAUSE);
        self.0
    }
}

/// Puts what is heard into a table, and tells who waits; ends when nobody does, or when too much is kept.
async fn listen(daemon: &Daemon, links: &Links, tell: &watch::Sender<Near>) -> Result<(), String> {
    let mut table = Table::default();
    let mut ask = tokio::time::interval_at(tokio::time::Instant::now() + ASK, ASK);
    let mut events = daemon.browse()?;
    // Goes on beside events, however many come.
    let mut crowded = std::pin::pin!(daemon.crowded());
    loop {
        tokio::select! {
            event = events.recv_async() => match event {
                Ok(ServiceEvent::ServiceResolved(service)) => if let Some(heard) = heard(&service) {
                    table.hear(heard, &links.now(), daemon.place.loopback, Instant::now());
                },
                Ok(ServiceEvent::ServiceRemoved(_, instance)) => table.gone(&instance),
                Ok(_) => {}
                // More came than was taken, so the thread gave up.
                Err(_) => return Ok(()),
            },
            () = &mut crowded => return Ok(()),
            _ = ask.tick() => {
                table.expire(Instant::now());
                // What it keeps would be told as if it had been heard again.
                daemon.mdns.stop_browse(SERVICE).map_err(|error| error.to_string())?;
                events = daemon.browse()?;
            }
        }
        let news = Near { networks: table.list(), trouble: None };
        tell.send_if_modified(|near| {
            let changed = *near != news;
            *near = news;
            changed
        });
        if tell.is_closed() {
            return Ok(());
        }
    }
}

/// The thread; ended when this is dropped.
struct Daemon {
    mdns: ServiceDaemon,
    place: Place,
}

impl Daemon {
    async fn start(place: Place) -> Result<Self, String> {
        let checked = tokio::task::spawn_blocking(move || place.check()).await;
        checked.unwrap_or_else(|error| Err(error.to_string()))?;
        let start = || {
            let daemon = Self { mdns: ServiceDaemon::new_with_port(place.port)?, place };
            daemon.mdns.set_ip_check_interval(INTERFACES_S)?;
            daemon.mdns.disable_interface(place.without())?;
            daemon.mdns.enable_interface(place.with())?;
            Ok(daemon)
        };
        start().map_err(|error: mdns_sd::Error| error.to_string())
    }

    fn browse(&self) -> Result<Receiver<ServiceEvent>, String> {
        self.mdns.browse(SERVICE).map_err(|error| error.to_string())
    }

    /// Resolves when more is kept than any network has.
    async fn crowded(&self) {
        loop {
            sleep(CHECK).await;
            let Ok(asked) = self.mdns.get_metrics() else { continue };
            // One that has no time for an answer has none for being ended.
            let Ok(Ok(counts)) = timeout(PATIENCE, asked.recv_async()).await else { continue };
            let sum = |start: &str| {
                let counts = counts.iter().filter(|(name, _)| name.starts_with(start));
                counts.fold(0_i64, |sum, (_, n)| sum.saturating_add(*n))
            };
            if sum("cached-") > MAX_RECORDS || sum("timer") > MAX_TIMERS {
                return;
            }
        }
    }

    /// Ends the thread, and waits until it has ended: as long as a flood lasts.
    async fn end(self) {
        loop {
            match self.mdns.shutdown() {
                Ok(ended) => {
                    let _ = ended.recv_async().await;
                    return;
                }
                Err(mdns_sd::Error::Again) => sleep(PATIENCE).await,
                Err(_) => return,
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Where its queue is full it does not keep up: it is asked again, from beside, for a while.
        if let Err(mdns_sd::Error::Again) = self.mdns.shutdown() {
            let daemon = self.mdns.clone();
            std::thread::spawn(move || {
                for _ in 0..MAX_ASKED {
                    std::thread::sleep(PATIENCE);
                    if !matches!(daemon.shutdown(), Err(mdns_sd::Error::Again)) {
                        return;
                    }
                }
            });
        }
    }
}

fn heard(service: &ResolvedService) -> Option<Heard> {
    let entries = service.txt_properties.iter().take(MAX_ENTRIES);
    let entries =
        entries.map(|entry| (entry.key().to_ascii_lowercase(), entry.val_str().to_owned()));
    let said = Announced::read(&entries.collect())?;
    // In an order of their own: a set has none.
    let mut ips: Vec<IpAddr> =
        service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr).collect();
    ips.sort_unstable();
    Some(Heard { instance: service.fullname.clone(), said, ips })
}

fn service(said: &Announced, ip: IpAddr) -> mdns_sd::Result<ServiceInfo> {
    // A host name of its own: that of the machine is another program's to announce.
    let host = format!("shoal-{}.local.", said.key.short());
    let properties = said.properties();
    let (instance, port) = (said.instance(), said.port);
    let mut service = if ip.is_unspecified() {
        let any = ServiceInfo::new(SERVICE, &instance, &host, (), port, &properties[..])?;
        let mut any = any.enable_addr_auto();
        if ip.is_ipv4() {
            any.set_interfaces(vec![IfKind::IPv4]);
        }
        any
    } else {
        ServiceInfo::new(SERVICE, &instance, &host, ip.to_canonical(), port, &properties[..])?
    };
    // With the key in it the name is nobody else's.
    service.set_requires_probe(false);
    Ok(service)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use super::*;
    use crate::id::PeerId;

    /// A port that nobody uses, so that tests do not hear each other.
    fn alone() -> Place {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        Place::of_this_machine(socket.local_addr().unwrap().port())
    }

    /// Waits for a list that is as wanted; for ever if it never is.
    async fn until(looking: &mut Looking, wanted: impl Fn(&Near) -> bool) -> Near {
        loop {
            let near = looking.now();
            if wanted(&near) {
                return near;
            }
            looking.changed().await;
        }
    }

    #[tokio::test]
    async fn a_tracker_that_announces_itself_is_found_and_goes_with_its_goodbye() {
        let place = alone();
        if let Err(why) = place.check() {
            return eprintln!("NOT TESTED: no multicast on loopback here: {why}");
        }
        let said = Announced::new(PeerId::from_bytes([7; 32]), 7420, "lab.of \u{1b}ada", true);
        let failed = |why: String| panic!("{why}");
        let announcing = announce(place, said.clone(), Ipv4Addr::LOCALHOST.into(), failed);
        let mut looking = look(place);
        let found = until(&mut looking, |near| !near.networks.is_empty());
        let near = timeout(Duration::from_secs(20), found).await.expect("found");
        let [one] = &near.networks[..] else { panic!("{near:?}") };
        assert_eq!((one.key, &one.name, one.closed), (said.key, &said.name, true));
        assert_eq!(one.join.address(), "127.0.0.1:7420");
        announcing.stop().await;
        let gone = until(&mut looking, |near| near.networks.is_empty());
        timeout(Duration::from_secs(20), gone).await.expect("gone");
    }

    #[tokio::test]
    async fn what_cannot_be_looked_for_is_said_in_words_and_tried_again() {
        // A socket of somebody who shares the port with nobody.
        let taken = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let place = Place::of_this_machine(taken.local_addr().unwrap().port());
        let mut looking = look(place);
        let near = until(&mut looking, |near| near.trouble.is_some()).await;
        assert!(near.trouble.unwrap().contains("multicast"));
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        let said = Announced::new(PeerId::from_bytes([7; 32]), 7420, "", false);
        let ip = Ipv4Addr::LOCALHOST.into();
        let announcing = announce(place, said, ip, move |why| tell.try_send(why).unwrap());
        assert!(told.recv().await.unwrap().contains("multicast"));
        announcing.stop().await;
        drop(taken);
        if place.check().is_ok() {
            let found = until(&mut looking, |near| near.trouble.is_none());
            timeout(Duration::from_secs(60), found).await.expect("it looks again");
        }
    }

    /// An answer with the address of a name that nobody asked for (RFC 1035, 4.1), for an hour and more.
    fn unasked(name: &str) -> Vec<u8> {
        let mut packet = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0, 8];
        packet.extend(name.as_bytes());
        packet.extend(b"\x05local\0\0\x01\0\x01\0\0\x10\0\0\x04\x0a\0\0\x01");
        packet
    }

    async fn ends_when_sent(packet: impl Fn(u32) -> Vec<u8>) {
        let place = alone();
        if let Err(why) = place.check() {
            return eprintln!("NOT TESTED: no multicast on loopback here: {why}");
        }
        let daemon = Daemon::start(place).await.unwrap();
        let _events = daemon.browse().unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        {
            let mut crowded = std::pin::pin!(daemon.crowded());
            for n in 0.. {
                socket.send_to(&packet(n), ("127.0.0.1", place.port)).unwrap();
                if n.is_multiple_of(64) {
                    tokio::select! {
                        biased;
                        () = &mut crowded => break,
                        () = sleep(Duration::from_millis(1)) => {}
                    }
                }
            }
        }
        timeout(Duration::from_secs(60), daemon.end()).await.expect("its thread has ended");
    }

    #[tokio::test]
    async fn s13_a_flood_of_records_ends_the_thread_that_keeps_them() {
        ends_when_sent(|n| unasked(&format!("{n:08x}"))).await;
    }

    #[tokio::test]
    async fn s13_one_record_again_and_again_ends_the_thread_too() {
        // Many times in one packet: each time it is two points in time.
        let one = unasked("repeated");
        let (head, record) = one.split_at(12);
        let mut packet = head.to_vec();
        packet[7] = 30;
        (0..30).for_each(|_| packet.extend(record));
        ends_when_sent(|_| packet.clone()).await;
    }

    #[test]
    fn rests_are_longer_each_time_and_forgotten() {
        let mut rest = Rest::default();
        assert_eq!(rest.after(CHECK), PAUSE);
        assert_eq!(rest.after(CHECK), 2 * PAUSE);
        for _ in 0..20 {
            rest.after(CHECK);
        }
        assert_eq!(rest.after(CHECK), LONGEST_PAUSE);
        assert_eq!(rest.after(LASTED), PAUSE);
    }
}
