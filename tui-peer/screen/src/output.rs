//! Bytes on their way to the terminal. A frame is one write, bracketed so that it appears at once; a thread
//! of its own writes it, so that a terminal that does not read never stops the app. At most one frame is
//! on its way: what changes meanwhile is in the next one.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use common::lock::Unpoisoned as _;

use tokio::sync::Notify;

/// Begin and end of a frame that appears at once (DEC private mode 2026).
pub(super) const FRAME_BEGIN: &[u8] = b"\x1b[?2026h";
pub(super) const FRAME_END: &[u8] = b"\x1b[?2026l";
/// Titles, progress and copied text that may wait beside a frame. The largest is 74 kB of clipboard.
const MAX_ASIDES: usize = 256 << 10;

/// Collects a frame, so that it reaches the terminal in one write.
#[derive(Debug, Clone, Default)]
pub struct FrameBuffer(Arc<Mutex<Vec<u8>>>);

impl FrameBuffer {
    /// Takes what was collected as one frame; nothing if nothing was.
    pub fn take(&self) -> Vec<u8> {
        let mut buffer = self.0.lock().unpoisoned();
        if buffer.is_empty() {
            return Vec::new();
        }
        let mut frame = Vec::with_capacity(buffer.len() + FRAME_BEGIN.len() + FRAME_END.len());
        frame.extend_from_slice(FRAME_BEGIN);
        frame.append(&mut buffer);
        frame.extend_from_slice(FRAME_END);
        frame
    }
}

impl Write for FrameBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unpoisoned().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Keeps everything: only [`FrameBuffer::take`] empties it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The way to the terminal. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the thread.
    work: Condvar,
    /// Rung when a write ended.
    done: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    writing: bool,
    /// How long the last writes took, until somebody asks.
    took: Option<Duration>,
    failed: Option<io::Error>,
    closed: bool,
}

impl Writer {
    /// Starts to write to `file`.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn new(file: File) -> io::Result<Self> {
        let shared =
            Arc::new(Shared { state: Mutex::default(), work: Condvar::new(), done: Notify::new() });
        let writer = shared.clone();
        std::thread::Builder::new().name("screen".to_owned()).spawn(move || writer.write(file))?;
        Ok(Self(shared))
    }

    /// Whether nothing is on its way.
    pub fn is_idle(&self) -> bool {
        let state = self.0.state();
        state.waiting.is_empty() && !state.writing
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn frame(&self, bytes: Vec<u8>) -> io::Result<()> {
        let mut state = self.0.state();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        if !bytes.is_empty() {
            state.waiting.extend(bytes);
            self.0.wake(state);
        }
        Ok(())
    }

    /// Sends something that is no frame; says whether there was room.
    pub fn aside(&self, bytes: &[u8]) -> bool {
        let mut state = self.0.state();
        let room = state.waiting.len() + bytes.len() <= MAX_ASIDES;
        if room && !bytes.is_empty() {
            state.waiting.extend_from_slice(bytes);
            self.0.wake(state);
        }
        room
    }

    /// Waits for the end of a write; how long it took.
    pub async fn written(&self) -> Duration {
        loop {
            let done = self.0.done.notified();
            if let Some(took) = self.0.state().took.take() {
                return took;
            }
            done.await;
        }
    }

    /// Waits until everything is written, but no longer than `patience`.
    pub fn drain(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = self.0.state();
        while (state.writing || !state.waiting.is_empty()) && state.failed.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // What it may not show any more.
                state.waiting.clear();
                return;
            }
            (state, _) = self.0.work.wait_timeout(state, left).unpoisoned();
        }
    }

    /// Ends the thread once it is done.
    pub fn close(&self) {
        self.0.state().closed = true;
        self.0.work.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unpoisoned()
    }

    /// Wakes the thread, which finds the lock free: on a busy machine each time that it has to wait takes milliseconds.
    fn wake(&self, state: MutexGuard<'_, State>) {
        drop(state);
        self.work.notify_all();
    }

    fn write(&self, mut file: File) {
        let mut state = self.state();
        loop {
            if state.waiting.is_empty() {
                if state.closed {
                    return;
                }
                state = self.work.wait(state).unpoisoned();
                continue;
            }
            let bytes = std::mem::take(&mut state.waiting);
            state.writing = true;
            drop(state);
            let began = Instant::now();
            let result = write_all(&mut file, &bytes);
            state = self.state();
            state.writing = false;
            state.took = state.took.max(Some(began.elapsed()));
            if let Err(error) = result {
                state.failed = Some(error);
            }
            self.work.notify_all();
            self.done.notify_one();
        }
    }
}

/// Also to a terminal that another program made non-blocking.
fn write_all(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = bytes.get(n..).unwrap_or(&[]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let fd = file.as_fd();
                let mut ask = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::OUT)];
                rustix::event::poll(&mut ask, None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn frames_are_bracketed_and_nothing_is_nothing() {
        let mut buffer = FrameBuffer::default();
        assert!(buffer.take().is_empty());
        buffer.write_all(b"abc").unwrap();
        buffer.flush().unwrap();
        assert_eq!(buffer.take(), b"\x1b[?2026habc\x1b[?2026l");
        assert!(buffer.take().is_empty());
    }

    fn pipe() -> (File, File) {
        let (read, write) = std::io::pipe().unwrap();
        (
            File::from(std::os::fd::OwnedFd::from(read)),
            File::from(std::os::fd::OwnedFd::from(write)),
        )
    }

    #[tokio::test]
    async fn a_terminal_that_does_not_read_stops_nobody() {
        let (mut read, write) = pipe();
        let writer = Writer::new(write).unwrap();
        // More than a pipe holds.
        writer.frame(vec![b'x'; 1 << 20]).unwrap();
        assert!(!writer.is_idle());
        // The thread has begun, however busy the machine is: what waits at the end of a drain is given up.
        read.read_exact(&mut [0]).unwrap();
        writer.drain(Duration::from_millis(20));
        assert!(!writer.is_idle(), "nobody has read it");
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            read.read_to_end(&mut all).unwrap();
            all.len()
        });
        writer.written().await;
        assert!(writer.is_idle() && writer.aside(b"title"));
        writer.drain(Duration::from_secs(10));
        writer.close();
        assert_eq!(reader.join().unwrap(), (1 << 20) + 4);
    }

    #[tokio::test]
    async fn a_terminal_that_is_gone_is_told_once() {
        let (read, write) = pipe();
        drop(read);
        let writer = Writer::new(write).unwrap();
        writer.frame(b"x".to_vec()).unwrap();
        writer.written().await;
        assert!(writer.frame(b"y".to_vec()).is_err());
        assert!(!writer.aside(&vec![0; MAX_ASIDES + 1]));
    }
}
