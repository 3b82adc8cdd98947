//! A terminal for real programs: a pseudo-terminal whose output is parsed as a terminal would, so that
//! tests see the screen a user sees and wait for what appears on it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Longest any single step may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A program on a terminal of its own.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    shared: Arc<Shared>,
}

struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// What came out of the program so far.
pub(crate) struct Seen {
    pub(crate) screen: vt100::Parser,
    /// Every byte counts: a program at rest writes none.
    pub(crate) bytes: u64,
    /// When the newest bytes came.
    pub(crate) at: Instant,
    ended: bool,
}

impl Terminal {
    /// Starts `command` on a terminal of `width` x `height` cells.
    pub(crate) fn start(mut command: Command, width: u16, height: u16) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave =
            rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
                .unwrap();
        set_size(&master, width, height);
        let slave = File::from(slave);
        let child = command
            .stdin(Stdio::from(slave.try_clone().unwrap()))
            .stdout(Stdio::from(slave.try_clone().unwrap()))
            .stderr(Stdio::from(slave))
            .spawn()
            .expect("the program starts");
        // The command still holds its copies of the program's side: with them the end is never seen.
        drop(command);
        let shared = Arc::new(Shared {
            seen: Mutex::new(Seen {
                screen: vt100::Parser::new(height, width, 0),
                bytes: 0,
                at: Instant::now(),
                ended: false,
            }),
            changed: Condvar::new(),
        });
        let keyboard = File::from(master);
        let output = keyboard.try_clone().unwrap();
        let reader = shared.clone();
        std::thread::spawn(move || read(output, &reader));
        Self { child, keyboard, shared }
    }

    /// Types text; also control characters and escape sequences.
    pub(crate) fn keys(&self, text: &str) {
        (&self.keyboard).write_all(text.as_bytes()).unwrap();
    }

    /// Another size, as when a window is dragged.
    pub(crate) fn resize(&self, width: u16, height: u16) {
        self.seen().screen.screen_mut().set_size(height, width);
        set_size(&self.keyboard, width, height);
        // The program has no controlling terminal whose kernel would say so.
        self.signal(Signal::WINCH);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap()
    }

    /// The screen as text.
    pub(crate) fn text(&self) -> String {
        self.seen().screen.screen().contents()
    }

    /// Waits until the screen satisfies `holds`; `what` for the words of the failure.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.seen();
        loop {
            let text = seen.screen.screen().contents();
            if holds(&text) {
                return text;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never saw {what} in\n{text}");
            if seen.ended {
                drop(seen);
                let how = self.ending();
                panic!("the program ended ({how}) before {what} in\n{text}");
            }
            seen = self.shared.changed.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// How the program ended, for the words of a failure.
    fn ending(&self) -> String {
        // Left for `Drop` to wait for.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            match waitid(WaitId::Pid(self.pid()), options) {
                Ok(Some(status)) => {
                    let (code, signal) = (status.exit_status(), status.terminating_signal());
                    return format!("code {code:?}, signal {signal:?}");
                }
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
                Ok(None) => return "it still runs, but its terminal is closed".to_owned(),
                Err(error) => return error.to_string(),
            }
        }
    }

    /// Waits until `text` is on the screen.
    pub(crate) fn sees(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// Waits for more than `bytes` bytes of output in all; when they came.
    #[allow(dead_code, reason = "the benches use it")]
    pub(crate) fn past(&self, bytes: u64) -> Instant {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.seen();
        while seen.bytes <= bytes {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !seen.ended, "no more output");
            seen = self.shared.changed.wait_timeout(seen, left).unwrap().0;
        }
        seen.at
    }

    /// Waits for the end of the program.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.seen();
        while !seen.ended {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "still running:\n{}", seen.screen.screen().contents());
            seen = self.shared.changed.wait_timeout(seen, left).unwrap().0;
        }
        drop(seen);
        self.child.wait().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set_size(master: impl std::os::fd::AsFd, width: u16, height: u16) {
    let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).unwrap();
}

fn read(mut output: File, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    let mut answered = 0;
    loop {
        let n = match output.read(&mut buffer) {
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            // At the end of the program the kernel says EIO.
            Err(_) => 0,
        };
        let mut seen = shared.seen.lock().unwrap();
        let part = &buffer[..n];
        // Programs ask what the terminal is; a terminal that does not answer costs them their patience.
        if n > 0 && answered < 2 && contains(part, b"\x1b[c") {
            answered += 1;
            let _ = output.write_all(b"\x1b[?62;22c");
        }
        seen.screen.process(part);
        seen.bytes += n as u64;
        seen.at = Instant::now();
        seen.ended = n == 0;
        shared.changed.notify_all();
        if n == 0 {
            return;
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
