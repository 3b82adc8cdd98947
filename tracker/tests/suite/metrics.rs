//! What the tracker says to machines that watch.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::exposition;
use crate::support::{Client, PATIENCE, Running, Who, file, progress, quick};
use common::wire::tracker::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tracker::record::{Change, Saved};
use tracker::store::{MemoryStore, MetaStore, StoreError};
use tracker::{Config, Tracker};

async fn watched(config: Config, store: Option<Box<dyn MetaStore>>) -> (Running, SocketAddr) {
    let metrics = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = metrics.local_addr().unwrap();
    let opened = match store {
        Some(store) => Tracker::open_with(config, store).unwrap(),
        None => Tracker::open(config).unwrap(),
    };
    (Running::serve(opened.with_metrics(metrics)).await, addr)
}

/// Status and body.
async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn c6_metrics_say_how_the_network_and_the_tracker_are() {
    let (tracker, addr) = watched(quick(), None).await;
    let (mut seed, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let (mut other, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let big = file("big", 10 * 65536);
    seed.must_register(&[file("a", 1), big.clone(), file("b", 1)]).await;
    other.must_register(&[file("b", 1)]).await;
    other.chunks(vec![progress(&big, &[1], 1, true)]).await;
    other.sync().await;
    let (status, text) = get(addr, "/metrics").await;
    assert_eq!(status, 200);
    let all = exposition::parse(&text);
    let of = |name: &str| all[&format!("shoal_tracker_{name}")];
    for (name, value) in [
        ("connections", 2.0),
        ("files", 3.0),
        ("files_with_one_copy", 2.0),
        ("files_without_copy", 0.0),
        ("memberships", 5.0),
        ("registered_total", 4.0),
        ("accepted_total", 2.0),
        ("store_errors_total", 0.0),
    ] {
        assert_eq!(of(name), value, "{name}");
    }
    assert!(of("received_bytes_total") > 300.0 && of("sent_bytes_total") > 100.0, "{text}");
    assert!(of("uptime_seconds") > 0.0 && of("bytes") > 1000.0);
    assert!(all.contains_key(concat!(
        "shoal_tracker_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"}"
    )));
    if cfg!(target_os = "linux") {
        assert!(of("resident_memory_bytes") > 1e6);
    }
    // Those who leave take their copies along.
    let q = seed.q();
    seed.ask(q, &Request::Leave { q }).await;
    let all = exposition::parse(&get(addr, "/metrics").await.1);
    assert_eq!(all["shoal_tracker_files_without_copy"], 2.0, "a and big");
    assert_eq!(all["shoal_tracker_files_with_one_copy"], 1.0, "b");
    assert_eq!(get(addr, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(addr, "/secret").await.0, 404);
    tracker.stop().await;
}

#[tokio::test]
async fn c6_silent_clients_do_not_stop_a_scrape_of_the_tracker() {
    let (tracker, addr) = watched(quick(), None).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(addr).await.unwrap());
    }
    let start = Instant::now();
    exposition::parse(&get(addr, "/metrics").await.1);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    tracker.stop().await;
}

/// A store that fails while it is told to.
struct Shaky(MemoryStore, Arc<AtomicBool>);

impl MetaStore for Shaky {
    fn load(&mut self) -> Result<Saved, StoreError> {
        self.0.load()
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if self.1.load(Ordering::Relaxed) {
            return Err(StoreError::Io {
                path: "shaky".into(),
                kind: std::io::ErrorKind::StorageFull,
                why: "no room".to_owned(),
            });
        }
        self.0.apply(changes)
    }
}

#[tokio::test]
async fn c6_health_fails_while_the_store_does() {
    let failing = Arc::new(AtomicBool::new(false));
    let store = Shaky(MemoryStore::default(), Arc::clone(&failing));
    let (tracker, addr) = watched(quick(), Some(Box::new(store))).await;
    assert_eq!(get(addr, "/healthz").await.0, 200);
    failing.store(true, Ordering::Relaxed);
    // Seen when there is something to store: nothing else goes there.
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let files = vec![file("a", 1)];
    peer.send(&Request::Register { q: 1, files, more: false, full: false }).await;
    let until = async |status: u16| {
        loop {
            let (got, body) = get(addr, "/healthz").await;
            if got == status {
                return body;
            }
            tokio::task::yield_now().await;
        }
    };
    let body = timeout(PATIENCE, until(503)).await.expect("it is told");
    assert!(body.starts_with("store: "), "{body}");
    failing.store(false, Ordering::Relaxed);
    timeout(PATIENCE, until(200)).await.expect("it is well again");
    tracker.stop().await;
}
