//! What the machine can do at best, measured in the same run as the program.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::hash::sha256;

use crate::cost::{Spent, spent};

const STEP: usize = 256 * 1024;
const BLOCK: usize = 16 * 1024;

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Reads a file from the cache, hashes its blocks one by one with `sha2`, writes it elsewhere and syncs
/// it, on all cores.
pub(crate) fn read_hash_write(from: &Path, to: &Path) {
    let (input, output) = (File::open(from).unwrap(), File::create(to).unwrap());
    let len = input.metadata().unwrap().len();
    rustix::fs::fallocate(&output, rustix::fs::FallocateFlags::empty(), 0, len).unwrap();
    on_all_cores(&input, |span, at| {
        for block in span.chunks(BLOCK) {
            std::hint::black_box(sha256(block));
        }
        output.write_all_at(span, at).unwrap();
    });
    output.sync_data().unwrap();
}

/// Hashes a cached file's blocks one by one with `sha2` on all cores.
pub(crate) fn read_hash(from: &Path) {
    on_all_cores(&File::open(from).unwrap(), |span, _| {
        for block in span.chunks(BLOCK) {
            std::hint::black_box(sha256(block));
        }
    });
}

fn on_all_cores(input: &File, work: impl Fn(&[u8], u64) + Sync) {
    let len = input.metadata().unwrap().len();
    let next = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                let mut buffer = vec![0; STEP];
                loop {
                    let at = next.fetch_add(STEP as u64, std::sync::atomic::Ordering::Relaxed);
                    if at >= len {
                        return;
                    }
                    let want = usize::try_from(len - at).unwrap().min(STEP);
                    input.read_exact_at(&mut buffer[..want], at).unwrap();
                    work(&buffer[..want], at);
                }
            });
        }
    });
}

/// Sends a cached file over a TCP connection on loopback, as it is, to somebody who drops it.
pub(crate) fn raw_tcp(from: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut input = File::open(from).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut out = TcpStream::connect(addr).unwrap();
            let mut buffer = vec![0; STEP];
            while let Some(got) = Some(input.read(&mut buffer).unwrap()).filter(|got| *got > 0) {
                out.write_all(&buffer[..got]).unwrap();
            }
        });
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; STEP];
        while stream.read(&mut buffer).unwrap() > 0 {}
    });
}

/// Makes a torrent of a file or folder with pieces of 2^`log2` bytes, on all cores.
pub(crate) fn mktorrent(path: &str, log2: &str, to: &Path) -> Option<Spent> {
    let _ = std::fs::remove_file(to);
    let threads = cores().to_string();
    spent("mktorrent", &["-t", &threads, "-l", log2, "-o", to.to_str()?, path])
}

/// nginx serving a folder over plain HTTP, if it is installed.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) port: u16,
}

impl Nginx {
    pub(crate) fn start(dir: &Path, files: &Path) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let conf = dir.join("nginx.conf");
        let at = dir.display();
        let text = format!(
            "user root; daemon off; pid {at}/nginx.pid; error_log {at}/nginx.err; worker_processes 1;\n\
             events {{}}\nhttp {{ access_log off; sendfile on; client_body_temp_path {at}/t1;\n\
             proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3; uwsgi_temp_path {at}/t4;\n\
             scgi_temp_path {at}/t5; server {{ listen 127.0.0.1:{port}; root {}; }} }}\n",
            files.display()
        );
        std::fs::write(&conf, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&conf).arg("-p").arg(dir).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().ok()?;
        let this = Self { child, port };
        (0..100)
            .any(|_| {
                std::thread::sleep(Duration::from_millis(20));
                TcpStream::connect(("127.0.0.1", port)).is_ok()
            })
            .then_some(this)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends with it on this signal, and not on a kill.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
