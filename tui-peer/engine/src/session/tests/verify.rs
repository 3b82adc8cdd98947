//! Shares that are read again while other things happen to them.

use rustix::io::Errno;

use super::super::start::start_on;
use super::*;
use crate::library::faults::Faults;
use crate::library::{Library, hash_path};

/// Holds whoever has read a share again and is about to write down what was found.
#[derive(Default)]
struct Read {
    /// How many hold there, and whether all may go on.
    at: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Read {
    fn free(&self) {
        self.at.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    async fn until_held(&self) {
        let end = Instant::now() + PATIENCE;
        while self.at.lock().unwrap().0 == 0 {
            assert!(Instant::now() < end, "nobody reads it");
            tokio::task::yield_now().await;
        }
    }
}

impl Probe for Read {
    fn compared(&self, _: &Path) {
        let mut at = self.at.lock().unwrap();
        at.0 += 1;
        drop(self.changed.wait_while(at, |at| !at.1).unwrap());
    }
}

/// Whatever the test does, nothing hangs after it.
struct Freed(Arc<Read>, Arc<Faults>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.free();
        self.1.mend();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_what_is_unshared_while_it_is_read_again_does_not_come_back_at_the_next_start() {
    let temp = tempfile::tempdir().unwrap();
    let config = config(temp.path(), "peer");
    let path = file(temp.path(), 200_000);
    let prepared = hash_path(&path, 1).unwrap();
    {
        // Found damaged once, and right again since: worth writing down.
        let (library, _) = Library::open(&config.state_dir).unwrap();
        library.put_share(&prepared.record(false).doubted(0..1), &prepared).unwrap();
    }
    let (read, faults) = (Arc::new(Read::default()), Arc::new(Faults::default()));
    let _free = Freed(read.clone(), faults.clone());
    let peer = start_on(config.clone(), read.clone(), faults.opener()).await.unwrap();
    let id = prepared.id;
    until(&peer, "it is off", |s| state(s, id) == Some(TransferState::Changed)).await;
    ok(&peer, Command::Verify { id }).await;
    read.until_held().await;
    ok(&peer, Command::Unshare { id }).await;

    // A full disk shows when it is taken back what was written down too late.
    faults.fail(Errno::NOSPC, 0);
    read.free();
    until(&peer, "it is taken back", |s| s.unkept.is_some()).await;
    faults.mend();
    until(&peer, "it is written", |s| s.unkept.is_none()).await;
    peer.stop(Stop::Gracefully);
    peer.stopped().await;
    drop(peer);
    let end = Instant::now() + PATIENCE;
    // Until its last thread is gone.
    let loaded = loop {
        match Library::open(&config.state_dir) {
            Ok((_, loaded)) => break loaded,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(loaded.shares.len(), 0, "it came back");
}
