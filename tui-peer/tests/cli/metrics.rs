//! What a peer says to machines that watch it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::exposition;
use crate::program::{PATIENCE, Place, Running};

/// Status, head and body.
fn ask(addr: &str, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

fn scrape(addr: &str) -> BTreeMap<String, f64> {
    let (status, head, body) = ask(addr, "GET /metrics");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    exposition::parse(&body)
}

#[test]
fn c6_a_peer_serves_metrics_and_health() {
    let place = Place::new();
    let size = 3 << 20;
    let file = place.write("file", &vec![3; size]);
    let args = ["--serve-only", "--host", "--json", "--metrics", "127.0.0.1:0", &file];
    let mut peer = Running::logged(place.command(&args));
    let addr = peer.ready["metrics"].as_str().expect("where it listens").to_owned();
    peer.log(&format!("metrics at http://{addr}/metrics"));
    peer.expect("shared");
    let before = scrape(&addr);
    assert_eq!(before["shoal_peer_payload_sent_bytes_total"], 0.0);
    let mut get = place.other("b", &peer.ready, &["get", "file", "--json"]);
    assert!(get.env("SHOAL_DOWNLOADS", place.path("d")).output().unwrap().status.success());

    // What was sent is known a moment after it arrived, and so is what the tracker lists.
    let end = Instant::now() + PATIENCE;
    let of = |all: &BTreeMap<String, f64>, name: &str| all[&format!("shoal_peer_{name}")];
    let all = loop {
        let all = scrape(&addr);
        let sent = of(&all, "payload_sent_bytes_total") >= size as f64;
        if sent && of(&all, "catalogue_files") > 0.0 {
            break all;
        }
        assert!(Instant::now() < end, "{all:?}");
    };
    assert!(of(&all, "sent_bytes_total") > of(&all, "payload_sent_bytes_total"), "TLS adds some");
    assert!(of(&all, "received_bytes_total") > 0.0);
    for (name, value) in [
        ("shares", 1.0),
        ("share_bytes", size as f64),
        ("transfers{state=\"sharing\"}", 1.0),
        ("transfers{state=\"getting\"}", 0.0),
        ("tracker_connected", 1.0),
        ("serving", 1.0),
        ("catalogue_files", 1.0),
        ("disk_writes_waiting", 0.0),
        ("disk_errors_total{what=\"write\"}", 0.0),
        ("hash_errors_total", 0.0),
        ("library_waiting", 0.0),
        ("payload_received_bytes_total", 0.0),
    ] {
        assert_eq!(of(&all, name), value, "{name}");
    }
    let free = all.iter().find(|(name, _)| name.starts_with("shoal_peer_disk_free_bytes{dir="));
    assert!(free.is_some_and(|(_, bytes)| *bytes > 0.0), "{all:?}");
    let version = concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    assert_eq!(of(&all, version), 1.0);
    assert!(of(&all, "uptime_seconds") > 0.0);

    let (status, _, body) = ask(&addr, "GET /healthz");
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    let (status, head, body) = ask(&addr, "HEAD /metrics");
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-length: "), "{head}");
    assert_eq!(ask(&addr, "GET /secret").0, 404);
    assert_eq!(ask(&addr, "POST /metrics").0, 405);
    assert_eq!(peer.stop(), 0);
    assert!(TcpStream::connect(&addr).is_err(), "nobody listens any more");
}

#[test]
fn c6_silent_clients_do_not_stop_a_scrape_of_a_peer() {
    let place = Place::new();
    place.config("metrics = \"127.0.0.1:0\"\n");
    let peer = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    let addr = peer.ready["metrics"].as_str().unwrap();
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let start = Instant::now();
    scrape(addr);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    drop(silent);
    assert_eq!(peer.stop(), 0);
}

#[test]
fn c6_a_port_of_the_metrics_that_is_taken_has_its_own_code() {
    let place = Place::new();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap().to_string();
    let end = place.run_with(&["--serve-only", "--json"], &[("SHOAL_METRICS", &addr)]);
    assert_eq!(end.code, 98, "{}", end.err);
    assert!(end.err.contains(&addr) && end.err.contains("--metrics"), "{}", end.err);
    // A command line can do without what the file wants.
    place.config(&format!("metrics = \"{addr}\"\n"));
    let peer = Running::start(place.command(&["--serve-only", "--json", "--metrics", "none"]));
    assert!(peer.ready["metrics"].is_null());
    assert_eq!(peer.stop(), 0);
    place.config("metrics = \"7421\"\n");
    let end = place.run(&["--serve-only"]);
    assert!(end.code == 65 && end.err.contains("or none"), "{}", end.err);
}
