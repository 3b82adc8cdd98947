//! A peer written from `PROTOCOL.md` alone, to show that one can be: nothing here is of this project. The numbers in
//! comments are that page's sections.
//!
//! `cargo run -p shoal-common --example stranger -- JOIN NAME [FILE]` joins the network, finds the file NAME, fetches
//! it from a peer that has all of it (of a large one the first chunk), verifies it, and writes it to FILE.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

mod channel;
mod messages;
mod peer;
mod tracker;
mod tree;

use std::error::Error;

use channel::Me;
use data_encoding::BASE32_NOPAD;
use peer::Peer;
use tracker::Tracker;

type Res<T> = Result<T, Box<dyn Error>>;
type Hash = [u8; 32];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.as_slice() {
        [join, name] => run(join, name, None),
        [join, name, file] => run(join, name, Some(file)),
        _ => Err("usage: stranger JOIN NAME [FILE]".into()),
    };
    if let Err(error) = done {
        eprintln!("stranger: {error}");
        std::process::exit(1);
    }
}

fn run(join: &str, name: &str, to: Option<&str>) -> Res<()> {
    let join = Join::parse(join)?;
    let me = Me::new()?;
    let mut tracker = Tracker::enter(&join, &me)?;
    let file = tracker.find(name)?;
    let id = file.d.id()?;
    println!("found {name}: {} bytes, {} chunks, id {}", file.d.z, file.c, base32(&id));
    let source = tracker.locate(&id, file.c)?;
    println!("source {}", base32(&source.k));
    let mut peer = Peer::meet(&source, &join.key, &tracker.membership, &me)?;
    let bytes = peer.fetch(&id, &file)?;
    println!("verified {} of {} bytes", bytes.len(), file.d.z);
    if let Some(to) = to {
        std::fs::write(to, &bytes)?;
    }
    peer.leave()?;
    tracker.leave()
}

/// As ids and keys are shown (3).
fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_lowercase()
}

/// A join string (4), without its other addresses.
struct Join {
    key: Hash,
    host: String,
    secret: Option<Vec<u8>>,
}

impl Join {
    fn parse(text: &str) -> Res<Self> {
        let rest = text.trim().strip_prefix("shoal://").ok_or("not a join string")?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (key, host) = place.split_once('@').ok_or("a join string without a key")?;
        let key = BASE32_NOPAD.decode(key.to_uppercase().as_bytes())?;
        let host = host.split('/').next().unwrap_or(host);
        let has_port = host.rsplit_once(':').is_some_and(|(_, last)| !last.ends_with(']'));
        let host = if has_port { host.to_owned() } else { format!("{host}:7420") };
        let secret = query.split('&').find_map(|pair| pair.strip_prefix("secret="));
        let secret = secret.map(unescape).transpose()?;
        Ok(Self { key: key.as_slice().try_into()?, host, secret })
    }
}

fn unescape(text: &str) -> Res<Vec<u8>> {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or("a percent sign too many")?;
        out.push(u8::from_str_radix(digits, 16)?);
        out.extend(rest.as_bytes());
    }
    Ok(out)
}
