use std::net::IpAddr;
use std::time::{Duration, Instant};

use common::content::Descriptor;
use common::id::PeerId;
use common::inside::pack_manifest;
use common::manifest::{Entry, EntryKind, Manifest};
use common::wire::tracker::FileMeta;
use tracker::index::{Arrival, Index, Limits, Told, WORK_SLICE};

use crate::crowd::percentile;
use crate::peer::{digest, file};
use crate::table::{Goal, Table};

/// Folders, of each of which so many files are known.
const FOLDERS: u64 = 10_000;
const FILES: u64 = 100;
/// Searches of each kind.
const SEARCHES: usize = 60;

pub(crate) fn run(table: &mut Table) {
    let before = resident();
    let mut index = Index::new(Limits { per_group: None, ..Limits::default() });
    let (mut reads, mut locks) = (Vec::new(), Vec::new());
    let mut session = None;
    for n in 0..FOLDERS {
        // As many peers as it takes for what one may tell.
        if n % 500 == 0 {
            session = Some(index.arrive(0, arrival(n)).unwrap().session);
        }
        let session = session.unwrap();
        let (meta, packed) = folder(n);
        let (id, descriptor) = (meta.descriptor.id(), meta.descriptor);
        index.register(0, session, &[meta], false, false).unwrap();
        let told = timed(&mut reads, || Told::read(&packed, &descriptor)).unwrap();
        timed(&mut locks, || index.give_names(session, &id, told)).unwrap();
        while timed(&mut locks, || index.work(0, WORK_SLICE)).more {}
        index.take_changes();
    }
    let taken = (resident() - before) / 1e6;
    table.add("1M files in 10k folders: memory", "MB", Goal::None, taken);
    let counted = index.taken();
    table.add("  as it is counted", "MB", Goal::None, counted.bytes as f64 / 1e6);
    table.add("  of it names", "MB", Goal::None, counted.names as f64 / 1e6);
    table.add("checking one list, p99", "ms", Goal::None, percentile(&mut reads, 0.99) * 1e3);
    table.add(
        "taking names over, lock, p99",
        "ms",
        Goal::AtMost(2.0),
        percentile(&mut locks, 0.99) * 1e3,
    );
    for (what, query) in [
        ("one file", "00712345"),
        ("a word in all folders", "genome"),
        ("two words", "album train"),
        ("a folder's name and a word", "folder-00077 kernel"),
        ("alternatives", "lecture 123|kernel 456|paper 789"),
        ("nothing", "nobody"),
    ] {
        let (mut locks, mut looks, mut alls) = (Vec::new(), Vec::new(), Vec::new());
        let mut found = 0;
        for _ in 0..SEARCHES {
            let began = Instant::now();
            let mut find = index.find(query, 50).unwrap();
            found = loop {
                if let Some(found) = timed(&mut locks, || index.advance_find(&mut find)) {
                    break found.rows.len();
                }
                timed(&mut looks, || find.look());
            };
            alls.push(began.elapsed());
        }
        let p99 = |times: &mut Vec<Duration>| percentile(times, 0.99) * 1e3;
        table.add(
            format!("{what} ({found} rows): lock, p99"),
            "ms",
            Goal::AtMost(2.0),
            p99(&mut locks),
        );
        // Where nothing seems to match, nothing is looked at.
        if !looks.is_empty() {
            table.add("  without the lock, at a time, p99", "ms", Goal::None, p99(&mut looks));
        }
        table.add("  all of it, p99", "ms", Goal::AtMost(5.0), p99(&mut alls));
    }
}

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let value = work();
    times.push(began.elapsed());
    value
}

fn arrival(n: u64) -> Arrival {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&n.to_be_bytes());
    let ip = IpAddr::from([10, 0, 0, 1]);
    let (peer, nick) = (PeerId::from_bytes(key), String::new());
    Arrival { peer, nick, observed: ip, via: ip, port: 7, local: vec![], digest: digest(&[]) }
}

/// A folder of files with names as those of the catalogue.
fn folder(n: u64) -> (FileMeta, Vec<u8>) {
    let entry = |m: u64| {
        let FileMeta { name, descriptor: Descriptor { root, size, .. }, .. } =
            file(n * FILES + m, 1 << 20);
        let path = vec![format!("part {}", m % 7), name];
        Entry { path, kind: EntryKind::File, size, root, exec: false, mtime: 0 }
    };
    let name = format!("folder-{n:05}");
    let manifest = Manifest::build(&name, (0..FILES).map(entry).collect()).unwrap();
    let descriptor = Manifest::descriptor_of(manifest.bytes());
    let chunks = manifest.layout().chunks();
    let meta = FileMeta { descriptor, name, total: FILES << 20, chunks };
    (meta, pack_manifest(manifest.bytes()).unwrap())
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}
