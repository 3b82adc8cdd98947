//! Connections of strangers: accepted, and not yet known to be of a member.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use crate::lock::Unpoisoned as _;
use crate::numbers::saturate;

use tokio::task::AbortHandle;

use super::{AddrGroup, FairTable, Slot};

/// Time for a stranger's TLS handshake: three retransmissions of a lost packet and a slow machine.
pub const ACCEPT_TIMEOUT: Duration = Duration::from_secs(4);
/// Half-open connections at once at a tracker. A flood of 3,000 a second, each from an address of its
/// own, fills 12,000 places within [`ACCEPT_TIMEOUT`]: this many lose no honest handshake (256 lose two
/// of three). A silent one holds 2.3 KB of the process, one that has begun TLS 13 KB.
pub const MOST_HALF_OPEN: usize = 16_384;
/// The same at a peer, whose memory is meant for other things (19 MB if all are silent, 110 MB if all have
/// begun TLS): in that flood, one honest handshake of 100 ms in 28 has to come again.
pub const MOST_HALF_OPEN_AT_PEER: usize = MOST_HALF_OPEN / 2;
/// Even a process with next to no descriptors listens.
const FEWEST_HALF_OPEN: u64 = 32;

/// How many half-open connections a process may have that may open `descriptors` files and sockets and
/// needs `reserved` of them for other things: half of the rest, at most `most`.
pub fn half_open_for(descriptors: u64, reserved: u64, most: usize) -> usize {
    let half = (descriptors.saturating_sub(reserved) / 2).max(FEWEST_HALF_OPEN);
    saturate::<usize>(half).min(most)
}

/// Whether accepting failed because there are no descriptors left, here or in the whole system.
pub fn out_of_descriptors(error: &io::Error) -> bool {
    use nix::errno::Errno;
    [Errno::EMFILE, Errno::ENFILE].map(|e| Some(e as i32)).contains(&error.raw_os_error())
}

/// The tasks of half-open connections. There is always room for one more: when the table is full, one of
/// the address group that has most of them ends.
#[derive(Debug, Clone)]
pub struct HalfOpen(Arc<Mutex<FairTable<Task>>>);

/// Set once it runs.
type Task = Arc<OnceLock<AbortHandle>>;

/// The place of a half-open connection; given back when dropped, at the latest by its task when it ends.
#[derive(Debug)]
pub struct HalfOpenPlace {
    table: HalfOpen,
    slot: Slot,
}

impl HalfOpen {
    /// Room for `most` of them.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(FairTable::new(most))))
    }

    /// Takes one in. `spawn` starts its task, which must keep the place until the other side has proven
    /// to be a member, and not longer; it is dropped, with the connection, if the newcomer itself has to
    /// go. Returns whether one had to go. To be called by one task only, the one that accepts.
    pub fn admit(
        &self,
        group: Option<AddrGroup>,
        random: u64,
        spawn: impl FnOnce(HalfOpenPlace) -> AbortHandle,
    ) -> bool {
        let task = Task::default();
        let (slot, ended) = self.lock().insert(group, Arc::clone(&task), random);
        if ended.as_ref().is_none_or(|(gone, _)| *gone != slot) {
            // Not under the lock: a runtime that is shutting down drops the task, and its place, at once.
            let _ = task.set(spawn(HalfOpenPlace { table: self.clone(), slot }));
        }
        end(ended)
    }

    /// Ends one of the address group that has most, to get its descriptor; false if there is none.
    pub fn shed(&self, random: u64) -> bool {
        let ended = self.lock().drop_one(random);
        end(ended)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, FairTable<Task>> {
        self.0.lock().unpoisoned()
    }
}

impl Drop for HalfOpenPlace {
    fn drop(&mut self) {
        self.table.lock().remove(self.slot);
    }
}

/// Outside of the lock: what ends gives back its place.
fn end(ended: Option<(Slot, Task)>) -> bool {
    let Some((_, task)) = ended else { return false };
    if let Some(task) = task.get() {
        task.abort();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_the_table_follows_from_the_descriptors() {
        let most = MOST_HALF_OPEN;
        assert_eq!(half_open_for(1 << 20, 1024, most), most);
        assert_eq!(half_open_for(20_000, 1000, most), 9_500);
        assert_eq!(half_open_for(20_000, 1000, MOST_HALF_OPEN_AT_PEER), 8_192);
        assert_eq!(half_open_for(1024, 512, most), 256);
        assert_eq!(half_open_for(256, 512, most), 32);
        assert_eq!(half_open_for(u64::MAX, 0, most), most);
    }

    #[tokio::test]
    async fn s6_a_full_table_ends_one_and_ended_ones_give_back_their_place() {
        let table = HalfOpen::new(3);
        let (done, mut ends) = tokio::sync::mpsc::channel::<()>(1);
        let group = |n: u8| Some(AddrGroup::of([192, 0, 2, n].into()));
        let silent = |place| {
            let done = done.clone();
            let task = tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop((place, done));
            });
            task.abort_handle()
        };
        for n in 0..3 {
            assert!(!table.admit(group(2), n, silent), "there was room");
        }
        assert!(table.admit(group(3), 1, silent));
        assert_eq!(table.count(), 3);
        assert!(table.shed(0) && table.shed(0) && table.shed(0) && !table.shed(0));
        drop(done);
        assert_eq!(ends.recv().await, None, "all tasks are gone");
        assert!(!table.admit(group(1), 0, |place| {
            drop(place);
            tokio::spawn(async {}).abort_handle()
        }));
        assert_eq!(table.count(), 0);
    }
}
