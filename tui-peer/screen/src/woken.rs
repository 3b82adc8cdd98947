//! Input of the terminal, asked for only when there may be some.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use futures_util::{Stream, StreamExt as _};

/// A stream that is asked only after it has woken whoever waits for it, as every stream promises to do.
///
/// crossterm's has a thread that holds the lock of the input while it waits. Whoever asks meanwhile tries that lock, and
/// gives the processor away seven times before giving up; for each time Linux (6.18) takes a whole slice off what the
/// thread has coming. The app asks whenever anything happens: while a download kept the processors busy, a key waited
/// 20 ms and more for its frame.
#[derive(Debug)]
pub(crate) struct Woken<S> {
    stream: S,
    bell: Arc<Bell>,
}

/// Rung by the stream.
#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    waiting: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.waiting.wake();
    }
}

impl<S: Stream + Unpin> Woken<S> {
    pub(crate) fn new(stream: S) -> Self {
        // It has not been asked yet, so it has nobody to wake.
        let bell = Bell { rung: AtomicBool::new(true), waiting: AtomicWaker::new() };
        Self { stream, bell: Arc::new(bell) }
    }

    /// The next thing; can be dropped and asked again.
    pub(crate) async fn next(&mut self) -> Option<S::Item> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<S::Item>> {
        // First: a bell that rings after the look wakes this waker.
        self.bell.waiting.register(cx.waker());
        if !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let bell = Waker::from(self.bell.clone());
        let next = self.stream.poll_next_unpin(&mut Context::from_waker(&bell));
        if next.is_ready() {
            // There may be more, for which nobody is woken.
            self.bell.rung.store(true, Ordering::Release);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};

    use futures_util::{FutureExt as _, poll};

    use super::*;

    /// Counts how often it is asked, and keeps the first waker it sees, as crossterm's does.
    #[derive(Default)]
    struct Keys {
        typed: usize,
        asked: usize,
        waker: Option<Waker>,
    }

    impl Stream for Keys {
        type Item = ();

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
            self.asked += 1;
            if self.typed > 0 {
                self.typed -= 1;
                return Poll::Ready(Some(()));
            }
            self.waker.get_or_insert_with(|| cx.waker().clone());
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_key_is_not_late_because_other_things_happen() {
        let mut keys = Woken::new(Keys::default());
        for _ in 0..100 {
            assert!(poll!(pin!(keys.next())).is_pending());
        }
        assert_eq!(keys.stream.asked, 1, "the app gives its turn away each time");
        keys.stream.typed = 2;
        let waker = keys.stream.waker.take().unwrap();
        // Whoever waits is woken, also if another has waited before.
        let waits = async {
            keys.next().await;
            keys.next().await;
            keys
        };
        let mut waits = pin!(waits);
        assert!(poll!(&mut waits).is_pending());
        waker.wake();
        let mut keys = waits.await;
        assert!(keys.next().now_or_never().is_none());
        assert_eq!(keys.stream.asked, 4);
    }
}
