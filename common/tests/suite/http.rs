//! The HTTP server as machines and strangers meet it, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::exposition;
use common::http::{Answering, Asked, Exposition, Kind, Limits, Route, Running, StatusCode, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// For what must come; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

struct State {
    words: &'static str,
    /// Requests that are never answered.
    pending: AtomicUsize,
}

const ROUTES: &[Route<State>] = &[
    Route { path: "/words", handler: words },
    Route { path: "/query", handler: query },
    Route { path: "/never", handler: never },
    Route { path: "/panics", handler: panics },
    Route { path: "/metrics", handler: metrics },
];

fn words<'a>(state: &'a State, _: &'a Asked) -> Answering<'a> {
    Box::pin(async { text(StatusCode::OK, state.words) })
}

fn query<'a>(_: &'a State, asked: &'a Asked) -> Answering<'a> {
    Box::pin(async { text(StatusCode::OK, asked.uri.query().unwrap_or("none")) })
}

fn never<'a>(state: &'a State, _: &'a Asked) -> Answering<'a> {
    state.pending.fetch_add(1, Ordering::Relaxed);
    Box::pin(std::future::pending())
}

fn panics<'a>(_: &'a State, _: &'a Asked) -> Answering<'a> {
    panic!("a handler panics, as this test wants")
}

fn metrics<'a>(_: &'a State, _: &'a Asked) -> Answering<'a> {
    Box::pin(async {
        let mut out = Exposition::new("shoal_test");
        out.family("free_bytes", Kind::Gauge, "Free").add(&[("dir", "a\"\\\n")], 0.5);
        out.counter("bytes_total", "Bytes", 7u64);
        out.into_answer()
    })
}

struct Server {
    addr: SocketAddr,
    running: Running,
    state: Arc<State>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = Arc::new(State { words: "some words\n", pending: AtomicUsize::new(0) });
        let running = Running::start(listener, ROUTES, Arc::clone(&state), limits);
        Self { addr: running.addr().unwrap(), running, state }
    }

    async fn open(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Head and body of the answer, until the server closes.
    async fn ask(&self, head: &str) -> (String, String) {
        let mut stream = self.open().await;
        stream.write_all(format!("{head}\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
        read.expect("an answer").unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        (head.to_lowercase(), body.to_owned())
    }

    async fn is_alive(&self) {
        let (head, body) = self.ask("GET /words HTTP/1.1").await;
        assert!(head.starts_with("http/1.1 200 ") && body == "some words\n", "{head}");
    }

    async fn stop(self) {
        timeout(PATIENCE, self.running.stop()).await.expect("it ends").unwrap();
        assert_eq!(Arc::strong_count(&self.state), 1, "no task is left");
    }
}

#[tokio::test]
async fn c6_get_head_and_what_is_not_there() {
    let server = Server::start(Limits::default()).await;
    server.is_alive().await;
    let (head, body) = server.ask("HEAD /words HTTP/1.1").await;
    assert!(head.starts_with("http/1.1 200 ") && head.contains("content-length: 11"), "{head}");
    assert_eq!(body, "");
    assert_eq!(server.ask("GET /query?a=b HTTP/1.1").await.1, "a=b");
    let (head, body) = server.ask("GET /word HTTP/1.1").await;
    assert!(head.starts_with("http/1.1 404 ") && body.contains("/words, /query"), "{head}{body}");
    for method in ["POST", "DELETE", "OPTIONS"] {
        let (head, _) = server.ask(&format!("{method} /words HTTP/1.1")).await;
        assert!(head.starts_with("http/1.1 405 ") && head.contains("allow: get, head"), "{head}");
    }
    assert!(server.ask("POST /word HTTP/1.1").await.0.starts_with("http/1.1 404 "));
    assert!(server.ask("no request").await.0.starts_with("http/1.1 400 "));
    let long = "x".repeat(20_000);
    let mut stream = server.open().await;
    let _ = stream.write_all(format!("GET /{long} HTTP/1.1\r\n").as_bytes()).await;
    // Refused; the answer may be lost with what was sent too much.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("closed");
    server.stop().await;
}

#[tokio::test]
async fn c6_an_exposition_can_be_read() {
    let server = Server::start(Limits::default()).await;
    let (head, body) = server.ask("GET /metrics HTTP/1.1").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let samples = exposition::parse(&body);
    assert_eq!(samples["shoal_test_bytes_total"], 7.0);
    assert_eq!(samples["shoal_test_free_bytes{dir=\"a\\\"\\\\\\n\"}"], 0.5);
    server.stop().await;
}

#[tokio::test]
async fn c6_silent_clients_stop_nobody() {
    // Their deadlines are far away: only a full table ends them.
    let limits = Limits { connections: 16, head: 2 * PATIENCE, total: 2 * PATIENCE };
    let server = Server::start(limits).await;
    let mut silent = Vec::new();
    for n in 0..200 {
        let mut stream = server.open().await;
        if n % 2 == 0 {
            stream.write_all(b"GET /words HTTP/1.1\r\nX: ").await.unwrap();
        }
        silent.push(stream);
    }
    let start = Instant::now();
    server.is_alive().await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // For whom there was no room was cut, the oldest first.
    for stream in &mut silent[..180] {
        let end = timeout(PATIENCE, stream.read(&mut [0])).await.expect("cut");
        assert!(matches!(end, Ok(0) | Err(_)));
    }
    server.stop().await;
}

#[tokio::test]
async fn c6_who_is_being_answered_keeps_its_place_and_has_a_deadline() {
    let limits = Limits { connections: 2, head: 2 * PATIENCE, total: Duration::from_secs(4) };
    let server = Server::start(limits).await;
    let crowd = async {
        while server.state.pending.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        // All are being answered: it is the newcomer that goes.
        let mut stream = server.open().await;
        let end = timeout(PATIENCE, stream.read(&mut [0])).await.expect("dropped");
        assert!(matches!(end, Ok(0) | Err(_)));
    };
    let (first, second, ()) =
        tokio::join!(server.ask("GET /never HTTP/1.1"), server.ask("GET /never HTTP/1.1"), crowd);
    assert_eq!((first.0.as_str(), second.0.as_str()), ("", ""), "cut at the deadline");
    server.is_alive().await;
    server.stop().await;
}

#[tokio::test]
async fn c6_a_head_has_its_time_and_a_panic_ends_one_connection() {
    let limits = Limits { head: Duration::from_millis(200), ..Limits::default() };
    let server = Server::start(limits).await;
    let mut slow = server.open().await;
    slow.write_all(b"GET /words HTTP/1.1\r\n").await.unwrap();
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, slow.read_to_end(&mut said)).await.expect("cut");
    assert!(!said.starts_with(b"HTTP/1.1 200"), "{said:?}");
    assert_eq!(server.ask("GET /panics HTTP/1.1").await.0, "");
    server.is_alive().await;
    server.stop().await;
}
