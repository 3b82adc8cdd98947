//! Where the system tells that something moves in a folder (inotify), it is looked at at once instead of at the next
//! look. Nothing depends on it: what the system cannot tell, or not any more, the looks find.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::lock::Unpoisoned as _;

use crate::api::event::{Level, Target};
use crate::session::Session;
use crate::session::done::Done;

#[cfg(not(target_os = "linux"))]
use self::nothing as system;

/// What comes within this time is one notice: a folder that is copied to is looked at a few times a second at most.
const GATHER: Duration = Duration::from_millis(300);
/// Folders (with those in them) of which the system tells, at most: of the 8,192 that an older kernel grants all
/// programs of a user together, about a kilobyte each, others need some.
const MAX_TOLD: usize = 4_096;

pub(super) use self::system::Notices;

/// What the system told of shared folders, gathered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Something moved in these shared folders.
    In(Vec<Arc<Path>>),
    /// More than the system keeps: it may have been in any.
    Anywhere,
}

impl Session {
    /// From now on hears what the system tells, if it can.
    pub(in crate::session) fn hear_folders(&mut self) {
        let tx = self.background.done();
        self.folders.notices = Notices::start(move |heard| {
            tx.blocking_send(Done::looked(move |session| session.on_heard(heard))).is_ok()
        });
    }

    fn on_heard(&mut self, heard: Heard) {
        let now = Instant::now();
        let paths: Vec<Arc<Path>> = match heard {
            Heard::In(paths) => paths,
            Heard::Anywhere => self.folders.all.keys().map(|path| path.as_path().into()).collect(),
        };
        for path in paths {
            let Some(folder) = self.folders.all.get_mut(&*path) else { continue };
            folder.inner = None;
            self.folders.plan(&path, now);
        }
    }

    /// The system tells of no more folders.
    pub(super) fn note_limited(&mut self) {
        if !std::mem::replace(&mut self.folders.limited, true) {
            let every = self.background.probe().check_every().as_secs();
            let text = format!(
                "the system tells of no more folders (fs.inotify.max_user_watches): looked at every {every} s"
            );
            self.log(Level::Info, Target::Share, text);
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::collections::HashMap;
    use std::io::{PipeReader, PipeWriter};
    use std::mem::MaybeUninit;
    use std::os::fd::{AsFd as _, OwnedFd};
    use std::sync::{Mutex, MutexGuard};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    use rustix::io::Errno;

    use super::*;

    /// Bytes read at once: some hundred events with long names.
    const BUFFER: usize = 64 * 1024;

    /// What the system is asked to tell.
    pub(in super::super) struct Notices {
        told: Arc<Told>,
        /// Closed with the last of us, which ends the thread that listens.
        _open: PipeWriter,
    }

    struct Told {
        system: OwnedFd,
        /// The shared folders in which a folder lies, by the number that the system gave that.
        roots: Mutex<HashMap<i32, Vec<Arc<Path>>>>,
    }

    impl Notices {
        /// Hands what is heard to `tell`, until that says that nobody is there any more. `None` where the system cannot.
        pub(super) fn start(tell: impl Fn(Heard) -> bool + Send + 'static) -> Option<Arc<Self>> {
            let system = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
            let (ended, open) = std::io::pipe().ok()?;
            let told = Arc::new(Told { system, roots: Mutex::default() });
            let listener = std::thread::Builder::new().name("folders".to_owned());
            let heard = told.clone();
            listener.spawn(move || heard.listen(&ended, tell)).ok()?;
            Some(Arc::new(Self { told, _open: open }))
        }

        /// Has the system tell of `dir`, which lies in (or is) the shared folder `root`; blocks. `false`: it tells of
        /// no more.
        pub(in super::super) fn add(&self, root: &Arc<Path>, dir: &Path) -> bool {
            let what = WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::MOVED_FROM
                | WatchFlags::MOVED_TO
                | WatchFlags::CLOSE_WRITE
                | WatchFlags::DONT_FOLLOW
                | WatchFlags::ONLYDIR;
            match inotify::add_watch(&self.told.system, dir, what) {
                Ok(number) => {
                    let mut all = self.told.lock();
                    if all.len() >= MAX_TOLD && !all.contains_key(&number) {
                        let _ = inotify::remove_watch(&self.told.system, number);
                        return false;
                    }
                    let roots = all.entry(number).or_default();
                    if !roots.contains(root) {
                        roots.push(root.clone());
                    }
                    true
                }
                Err(Errno::NOSPC) => false,
                // Gone meanwhile, or where nothing can be told.
                Err(_) => true,
            }
        }

        /// Nobody needs to hear of this shared folder any more.
        pub(in super::super) fn forget(&self, root: &Path) {
            self.told.lock().retain(|number, roots| {
                roots.retain(|other| &**other != root);
                if roots.is_empty() {
                    // It may be gone by itself.
                    let _ = inotify::remove_watch(&self.told.system, *number);
                }
                !roots.is_empty()
            });
        }
    }

    impl Told {
        /// Hands on what is heard until nobody is there any more.
        fn listen(&self, ended: &PipeReader, tell: impl Fn(Heard) -> bool) {
            let gather = Timespec { tv_sec: 0, tv_nsec: i64::from(GATHER.subsec_nanos()) };
            loop {
                let mut either =
                    [PollFd::new(&self.system, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
                match poll(&mut either, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(_) => return,
                }
                let mut end = [PollFd::new(ended, PollFlags::IN)];
                if poll(&mut end, Some(&gather)).is_ok_and(|ends| ends > 0) {
                    return;
                }
                loop {
                    let (heard, more) = self.read();
                    if heard.is_some_and(|heard| !tell(heard)) {
                        return;
                    }
                    if !more {
                        break;
                    }
                }
            }
        }

        /// A buffer of what there is to hear, and whether there may be more.
        fn read(&self) -> (Option<Heard>, bool) {
            let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
            let mut reader = Reader::new(self.system.as_fd(), &mut buffer);
            let mut heard: Vec<Arc<Path>> = Vec::new();
            let (mut anywhere, mut more) = (false, true);
            loop {
                // As a rule there is nothing more; if it is another error, the looks make up for it.
                let Ok(event) = reader.next() else {
                    more = false;
                    break;
                };
                anywhere |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                let mut roots = self.lock();
                for root in roots.get(&event.wd()).into_iter().flatten() {
                    if !heard.contains(root) {
                        heard.push(root.clone());
                    }
                }
                if event.events().contains(ReadFlags::IGNORED) {
                    roots.remove(&event.wd());
                }
                if reader.is_buffer_empty() {
                    break;
                }
            }
            let heard = match (anywhere, heard.is_empty()) {
                (true, _) => Some(Heard::Anywhere),
                (false, true) => None,
                (false, false) => Some(Heard::In(heard)),
            };
            (heard, more)
        }

        fn lock(&self) -> MutexGuard<'_, HashMap<i32, Vec<Arc<Path>>>> {
            self.roots.lock().unpoisoned()
        }
    }

    #[cfg(test)]
    mod tests {
        use std::fs;

        use tokio::sync::mpsc;

        use super::*;

        async fn next(heard: &mut mpsc::Receiver<Heard>) -> Heard {
            let wait = tokio::time::timeout(Duration::from_secs(60), heard.recv());
            wait.await.expect("nothing is heard").expect("the end")
        }

        #[tokio::test]
        async fn c7_the_system_tells_in_which_shared_folder_something_moved() {
            let temp = tempfile::tempdir().unwrap();
            let (one, two) = (temp.path().join("one"), temp.path().join("two"));
            fs::create_dir_all(one.join("sub")).unwrap();
            fs::create_dir(&two).unwrap();
            let (tx, mut heard) = mpsc::channel(8);
            // Not everybody lets a program have one.
            let tell = move |heard| tx.blocking_send(heard).is_ok();
            let Some(notices) = Notices::start(tell) else { return };
            let (first, second): (Arc<Path>, Arc<Path>) =
                (one.as_path().into(), two.as_path().into());
            assert!(notices.add(&first, &one) && notices.add(&first, &one.join("sub")));
            assert!(notices.add(&second, &two) && notices.add(&second, &two));
            fs::write(one.join("sub/file"), "x").unwrap();
            assert_eq!(next(&mut heard).await, Heard::In(vec![first.clone()]));
            notices.forget(&one);
            fs::write(one.join("sub/other"), "x").unwrap();
            fs::write(two.join("file"), "x").unwrap();
            // That it is not to be told of any more is told of itself, of a folder nobody knows.
            assert_eq!(next(&mut heard).await, Heard::In(vec![second]));
            fs::remove_dir_all(&two).unwrap();
            while !notices.told.lock().is_empty() {
                assert!(matches!(next(&mut heard).await, Heard::In(_)));
            }
        }
    }
}

/// Where the system cannot tell.
#[cfg(not(target_os = "linux"))]
mod nothing {
    use super::*;

    pub(in super::super) enum Notices {}

    impl Notices {
        pub(super) fn start(_: impl Fn(Heard) -> bool + Send + 'static) -> Option<Arc<Self>> {
            None
        }

        pub(in super::super) fn add(&self, _: &Arc<Path>, _: &Path) -> bool {
            match *self {}
        }

        pub(in super::super) fn forget(&self, _: &Path) {
            match *self {}
        }
    }
}
