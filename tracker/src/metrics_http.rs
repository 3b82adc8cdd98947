//! `/metrics` and `/healthz` for machines that watch: the least HTTP/1.1 that they understand. Reads one
//! bounded request, answers, closes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::shared::Shared;

/// Longest request head that is read: scrapers send a few hundred bytes.
const MAX_HEAD: usize = 4 * 1024;
/// For one request from first to last byte.
const DEADLINE: Duration = Duration::from_secs(2);
/// Pause after the system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Answers requests one after the other, for ever.
pub(crate) async fn serve(listener: TcpListener, shared: &Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Whoever is too slow is dropped: the next one waits no longer than the deadline.
                let _ = timeout(DEADLINE, answer(stream, shared)).await;
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn answer(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = (&mut stream).take((MAX_HEAD - head.len()) as u64).read_buf(&mut head).await?;
        if read == 0 || head.len() >= MAX_HEAD {
            return respond(&mut stream, "400 Bad Request", "not a request this port answers\n")
                .await;
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next()) {
        (Some(b"GET"), Some(b"/metrics")) => {
            let counts = shared.with_index(|index| index.counts());
            respond(&mut stream, "200 OK", &shared.metrics.exposition(counts)).await
        }
        (Some(b"GET"), Some(b"/healthz")) if shared.is_failing() => {
            let text = "registrations cannot be stored; see the log\n";
            respond(&mut stream, "503 Service Unavailable", text).await
        }
        (Some(b"GET"), Some(b"/healthz")) => respond(&mut stream, "200 OK", "ok\n").await,
        (Some(b"GET"), _) => respond(&mut stream, "404 Not Found", "try /metrics\n").await,
        _ => respond(&mut stream, "405 Method Not Allowed", "only GET\n").await,
    }
}

async fn respond(stream: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
