//! Looks at things outside while somebody types: a folder, an address, a tracker. Each kind has one
//! probe under way; a newer request ends the older one.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::channel::{Channel, ChannelError, Purpose};
use common::identity::Identity;
use common::join::{JoinString, host_and_port};
use common::layout::{Layout, chunk_len_for};
use common::numbers::saturate;
use jiff::tz::TimeZone;
use rustix::fs::{Access, access};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::model::{Measure, PathEntry, typed};

/// Nothing is looked at before the typing rests for so long.
const REST: Duration = Duration::from_millis(250);
/// A tracker that takes longer does not answer.
const TRACKER_PATIENCE: Duration = Duration::from_secs(5);
/// Time spent on counting the files of a folder.
const WALK_PATIENCE: Duration = Duration::from_secs(5);
/// Files counted: as many as a shared folder may have, so that memory stays bounded.
const MAX_FILES: usize = common::limits::MAX_MANIFEST_ENTRIES;
/// Read and hashed to find out how fast that goes.
const SAMPLE: usize = 8 << 20;
/// Names taken from one folder.
pub const MAX_NAMES: usize = 5000;
/// Names counted in a folder that is only listed.
pub const MAX_ITEMS: usize = 1000;
/// Folders of a listing whose names are counted.
const MAX_COUNTED: usize = 200;

/// When summer time is where `TZ` names one and does not say it (`CET-1CEST`): the rule that the C library takes.
const SUMMER: &str = ",M3.2.0,M11.1.0";

/// Looks at disks under way at once: each may hang and hold one of the runtime's threads (512), which the
/// engine needs too. More wait.
const MAX_LOOKS: usize = 16;

/// Something to look at.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// What sharing this would mean.
    Measure(PathBuf),
    /// Whether this tracker answers and is the one.
    Tracker(JoinString),
    /// Whether downloads can go there.
    Folder(PathBuf),
    /// Whether this address is free; port 0 looks for a free port.
    Listen(SocketAddr),
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// What sharing would mean.
    Measure(Result<Measure, String>),
    /// Milliseconds to the tracker.
    Tracker(Result<u64, String>),
    /// Free bytes, if known, and whether the folder is there already.
    Folder(Result<(Option<u64>, bool), String>),
    /// The address that is free.
    Listen(Result<SocketAddr, String>),
}

/// Where clocks are shown: as the C library has it, so that they agree with `date`; in UTC if that is not known.
pub(crate) fn zone(env: &dyn Fn(&str) -> Option<String>) -> TimeZone {
    let named = || summer_time(&env("TZ")?);
    TimeZone::try_system().ok().or_else(named).unwrap_or(TimeZone::UTC)
}

/// The zone of a `TZ` that names a summer time and does not say when it is.
fn summer_time(tz: &str) -> Option<TimeZone> {
    TimeZone::posix(&format!("{tz}{SUMMER}")).ok()
}

/// Which probes are the newest of their kind, and how many more may look at a disk.
#[derive(Debug)]
pub struct Probes {
    newest: [Arc<AtomicU64>; 4],
    looks: Arc<Semaphore>,
}

impl Default for Probes {
    fn default() -> Self {
        Self { newest: Default::default(), looks: Arc::new(Semaphore::new(MAX_LOOKS)) }
    }
}

/// Whether a probe is still wanted.
struct Turn {
    newest: Arc<AtomicU64>,
    mine: u64,
}

impl Turn {
    fn is_over(&self) -> bool {
        self.newest.load(Ordering::Relaxed) != self.mine
    }
}

impl Probes {
    /// Looks, after a moment's rest; `None` if something newer of the same kind was wanted meanwhile.
    pub fn look(
        &self,
        probe: Probe,
    ) -> impl Future<Output = Option<(Probe, Found)>> + Send + use<> {
        let kind = match probe {
            Probe::Measure(_) => 0,
            Probe::Tracker(_) => 1,
            Probe::Folder(_) => 2,
            Probe::Listen(_) => 3,
        };
        let newest = self.newest[kind].clone();
        let mine = newest.fetch_add(1, Ordering::Relaxed) + 1;
        let turn = Turn { newest, mine };
        let looks = self.looks.clone();
        async move {
            tokio::time::sleep(REST).await;
            if turn.is_over() {
                return None;
            }
            let asked = probe.clone();
            let found = match probe {
                Probe::Tracker(join) => Found::Tracker(tracker(&join).await),
                Probe::Measure(path) => {
                    Found::Measure(blocking(looks, move || measure(&path, &turn)).await?)
                }
                Probe::Folder(path) => Found::Folder(blocking(looks, move || folder(&path)).await?),
                Probe::Listen(addr) => Found::Listen(blocking(looks, move || listen(addr)).await?),
            };
            Some((asked, found))
        }
    }

    /// The entries of a folder, looked at beside the screen.
    pub fn list(
        &self,
        dir: PathBuf,
    ) -> impl Future<Output = Result<Vec<PathEntry>, String>> + Send + use<> {
        let looks = self.looks.clone();
        async move {
            let listed = blocking(looks, move || list_dir(&dir)).await;
            listed.unwrap_or_else(|| Err("it could not be read".to_owned()))
        }
    }
}

async fn blocking<T: Send + 'static>(
    looks: Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let look = looks.acquire_owned().await.ok()?;
    let work = move || {
        let _look = look;
        work()
    };
    tokio::task::spawn_blocking(work).await.ok()
}

/// Names in a folder, folders first; symbolic links are shown as what they lead to.
///
/// # Errors
/// Why it cannot be read, in words.
fn list_dir(dir: &Path) -> Result<Vec<PathEntry>, String> {
    let names = fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut entries: Vec<PathEntry> = names
        .flatten()
        .take(MAX_NAMES)
        .map(|entry| {
            let path = entry.path();
            let meta = fs::metadata(&path).ok();
            let is_dir = meta.as_ref().is_some_and(fs::Metadata::is_dir);
            PathEntry {
                name: typed(&entry.file_name()),
                is_dir,
                size: meta.map_or(0, |m| m.len()),
                items: None,
                readable: access(&path, Access::READ_OK).is_ok(),
            }
        })
        .collect();
    entries.sort_by(|a, b| {
        b.is_dir.cmp(&a.is_dir).then_with(|| a.name.to_lowercase().cmp(&b.name.to_lowercase()))
    });
    for entry in entries.iter_mut().filter(|e| e.is_dir).take(MAX_COUNTED) {
        let inside = fs::read_dir(dir.join(super::model::untyped(&entry.name))).ok();
        let items = inside.map(|names| names.take(MAX_ITEMS).count());
        entry.items = items.and_then(|n| u32::try_from(n).ok());
    }
    Ok(entries)
}

fn measure(path: &Path, turn: &Turn) -> Result<Measure, String> {
    let meta = fs::metadata(path).map_err(|error| error.to_string())?;
    if access(path, Access::READ_OK).is_err() {
        return Err("not readable: its permissions do not let you".to_owned());
    }
    if meta.is_file() {
        let chunks = meta.len().div_ceil(u64::from(chunk_len_for(meta.len())));
        let rate = sample(path).unwrap_or(0.0);
        return Ok(Measure { files: 1, bytes: meta.len(), chunks, rate, ..Measure::default() });
    }
    if !meta.is_dir() {
        return Err("neither a file nor a folder".to_owned());
    }
    Ok(walk(path, turn))
}

fn walk(path: &Path, turn: &Turn) -> Measure {
    let begun = Instant::now();
    let mut sizes: Vec<u64> = Vec::new();
    let mut largest: Option<(u64, PathBuf)> = None;
    let mut out = Measure::default();
    let mut dirs = vec![path.to_owned()];
    while let Some(dir) = dirs.pop() {
        let Ok(names) = fs::read_dir(&dir) else {
            out.unreadable += 1;
            continue;
        };
        for entry in names.flatten() {
            if turn.is_over() || begun.elapsed() > WALK_PATIENCE || sizes.len() >= MAX_FILES {
                out.partly = true;
                dirs.clear();
                break;
            }
            // Of the name itself: links are not shared, as the library has it.
            let Ok(meta) = entry.metadata() else {
                out.unreadable += 1;
                continue;
            };
            if meta.is_dir() {
                dirs.push(entry.path());
            } else if meta.is_file() {
                let path = entry.path();
                if access(&path, Access::READ_OK).is_err() {
                    out.unreadable += 1;
                    continue;
                }
                sizes.push(meta.len());
                if largest.as_ref().is_none_or(|(size, _)| meta.len() > *size) {
                    largest = Some((meta.len(), path));
                }
            }
        }
    }
    out.files = sizes.len() as u64;
    out.bytes = sizes.iter().fold(0, |sum, size| sum.saturating_add(*size));
    out.chunks = Layout::for_folder(&sizes).map_or(0, |layout| u64::from(layout.chunks()));
    out.rate = largest.and_then(|(_, path)| sample(&path)).unwrap_or(0.0);
    out
}

/// Bytes per second of reading and hashing the beginning of a file, on all cores as the library does.
fn sample(path: &Path) -> Option<f64> {
    use std::io::Read as _;
    let begun = Instant::now();
    let mut data = Vec::new();
    fs::File::open(path).ok()?.take(SAMPLE as u64).read_to_end(&mut data).ok()?;
    if data.is_empty() {
        return None;
    }
    let read = begun.elapsed().as_secs_f64();
    let hashes = common::merkle::block_hashes(&data);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let hash = (begun.elapsed().as_secs_f64() - read) / cores as f64;
    (!hashes.is_empty()).then(|| data.len() as f64 / (read.max(hash)).max(1e-6))
}

fn folder(path: &Path) -> Result<(Option<u64>, bool), String> {
    // What does not exist yet is made in the nearest folder that does.
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    if !existing.is_dir() {
        return Err(format!("{} is a file", existing.display()));
    }
    if access(existing, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Err(format!("not writable: {}", existing.display()));
    }
    let free =
        rustix::fs::statvfs(existing).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    Ok((free, existing == path))
}

fn listen(addr: SocketAddr) -> Result<SocketAddr, String> {
    common::net::try_listen(addr).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => "in use by another program".to_owned(),
        std::io::ErrorKind::PermissionDenied => {
            "not allowed: ports below 1024 need privileges".to_owned()
        }
        std::io::ErrorKind::AddrNotAvailable => "not an address of this machine".to_owned(),
        _ => error.to_string(),
    })
}

/// Where the filters used before are kept, in the state folder.
const FILTERS: &str = "filters";
/// A longer file is not ours.
const MAX_FILTERS: u64 = 64 * 1024;

/// Reads the filters used before; none if there are none or they cannot be read.
pub fn read_filters(dir: &Path) -> String {
    use std::io::Read as _;
    let mut text = String::new();
    let file = fs::File::open(dir.join(FILTERS));
    // What cannot be read is not remembered: typing goes on without it.
    let _ = file.and_then(|file| file.take(MAX_FILTERS).read_to_string(&mut text));
    text
}

/// Writes the filters used before, whole or not at all.
///
/// # Errors
/// If the folder cannot be written.
pub fn write_filters(dir: &Path, text: &str) -> std::io::Result<()> {
    let part = dir.join("filters.new");
    let mut file = fs::OpenOptions::new();
    let mut file = file.write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(text.as_bytes())?;
    fs::rename(part, dir.join(FILTERS))
}

/// Whether a desktop can show folders to whoever sits at this terminal.
pub fn has_desktop(env: &dyn Fn(&str) -> Option<String>) -> bool {
    let is = |name: &str| env(name).is_some_and(|value| !value.is_empty());
    !is("SSH_CONNECTION") && !is("SSH_TTY") && (is("WAYLAND_DISPLAY") || is("DISPLAY"))
}

/// Shows a folder in the file manager of the desktop.
///
/// # Errors
/// Why not.
pub fn open(path: &Path) -> Result<(), String> {
    let quiet = std::process::Stdio::null;
    let status = std::process::Command::new("xdg-open")
        .arg(path)
        .stdin(quiet())
        .stdout(quiet())
        .stderr(quiet())
        .status()
        .map_err(|error| format!("xdg-open: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("xdg-open: {status}")) }
}

/// The first of the network's trackers that answers; else what is wrong with the very first.
async fn tracker(join: &JoinString) -> Result<u64, String> {
    let first = tracker_at(join, (join.host(), join.port())).await;
    if first.is_err() {
        for standby in join.standbys() {
            if let Ok(took) = tracker_at(join, standby).await {
                return Ok(took);
            }
        }
    }
    first
}

async fn tracker_at(join: &JoinString, (host, port): (&str, u16)) -> Result<u64, String> {
    let address = host_and_port(host, port);
    let attempt = async {
        let stream =
            TcpStream::connect((host, port)).await.map_err(|error| match error.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    format!("nothing listens at {address}: is the tracker running?")
                }
                _ => format!("cannot reach {address}: {error}"),
            })?;
        let begun = Instant::now();
        // A key of its own: looking must not be taken for joining.
        let me = Identity::generate().map_err(|error| error.to_string())?;
        let channel = Channel::new(&me).map_err(|error| error.to_string())?;
        match channel.connect(stream, &join.tracker(), Purpose::Tracker).await {
            Ok(_) => Ok(saturate::<u64>(begun.elapsed().as_millis())),
            Err(error @ ChannelError::WrongKey { .. }) => Err(format!(
                "another tracker answers at {address} ({error}): ask for a new join string"
            )),
            Err(error) => Err(format!("{address}: {error}")),
        }
    };
    timeout(TRACKER_PATIENCE, attempt)
        .await
        .unwrap_or_else(|_| Err(format!("{address} does not answer")))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn turn() -> Turn {
        Turn { newest: Arc::new(AtomicU64::new(1)), mine: 1 }
    }

    #[test]
    fn folders_come_first_and_names_that_are_no_text_too() {
        use std::os::unix::ffi::OsStrExt as _;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9.txt")), b"abc").unwrap();
        fs::create_dir(dir.path().join("z")).unwrap();
        fs::write(dir.path().join("z/one"), b"").unwrap();
        let entries = list_dir(dir.path()).unwrap();
        assert!(entries[0].is_dir && entries[0].name == "z" && entries[0].items == Some(1));
        assert_eq!((entries[1].name.as_str(), entries[1].size), ("caf\\xE9.txt", 3));
        assert!(entries[1].readable);
        assert!(list_dir(&dir.path().join("nope")).unwrap_err().contains("nope"));
    }

    /// Clocks were in UTC.
    #[test]
    fn a_summer_time_without_dates_is_shown_as_date_shows_it() {
        let zone = summer_time("CET-1CEST").unwrap();
        let clock = |secs| {
            let at = std::time::UNIX_EPOCH + Duration::from_secs(secs);
            crate::format::time_of_day(at, &zone)
        };
        // TZ=CET-1CEST date -d @1763726671; the same in July 2025.
        assert_eq!(clock(1_763_726_671), "13:04:31");
        assert_eq!(clock(1_752_148_800), "14:00:00");
        assert!(summer_time("somewhere").is_none());
    }

    #[test]
    fn a_folder_is_measured_as_it_would_be_shared() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/1"), vec![1; 200_000]).unwrap();
        fs::write(dir.path().join("2"), b"x").unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
        let measured = measure(dir.path(), &turn()).unwrap();
        assert_eq!((measured.files, measured.bytes, measured.chunks), (2, 200_001, 5));
        assert!(measured.rate > 0.0 && !measured.partly);
        assert!(measure(&dir.path().join("none"), &turn()).is_err());
    }

    #[test]
    fn a_newer_wish_ends_a_walk() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("1"), b"x").unwrap();
        let turn = turn();
        turn.newest.store(2, Ordering::Relaxed);
        assert!(measure(dir.path(), &turn).unwrap().partly);
    }

    #[tokio::test]
    async fn looks_that_hang_are_few_and_the_next_waits_for_one_to_end() {
        let (probes, dir) = (Probes::default(), tempfile::tempdir().unwrap());
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        for _ in 0..MAX_LOOKS {
            let held = held.clone();
            tokio::spawn(blocking(probes.looks.clone(), move || held.lock().unwrap().recv()));
        }
        while probes.looks.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let mut list = std::pin::pin!(probes.list(dir.path().to_owned()));
        assert!(futures_util::poll!(&mut list).is_pending());
        drop(hold);
        assert_eq!(list.await, Ok(Vec::new()));
    }

    #[test]
    fn addresses_and_folders_are_checked() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        assert!(listen(addr).unwrap_err().contains("in use"));
        assert_ne!(listen("127.0.0.1:0".parse().unwrap()).unwrap().port(), 0);
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(folder(dir.path()), Ok((Some(_), true))));
        assert!(matches!(folder(&dir.path().join("new/er")), Ok((_, false))));
        fs::write(dir.path().join("f"), b"").unwrap();
        assert!(folder(&dir.path().join("f/x")).unwrap_err().contains("is a file"));
    }

    #[tokio::test]
    async fn a_silent_port_is_said() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        drop(taken);
        let key = Identity::generate().unwrap().peer_id();
        let join = format!("shoal://{key}@127.0.0.1:{port}").parse().unwrap();
        assert!(tracker(&join).await.unwrap_err().contains("nothing listens"));
    }
}
