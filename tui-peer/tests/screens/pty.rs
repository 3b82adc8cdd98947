//! The real program on a pseudo terminal: whatever ends it, the terminal is as it was.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Pty {
    master: File,
    slave: File,
    child: Child,
    bytes: Receiver<Vec<u8>>,
    all: Vec<u8>,
    _home: tempfile::TempDir,
}

impl Pty {
    /// Starts the app on its welcome screen.
    fn start(env: &[(&str, &str)], args: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let home = tempfile::tempdir().unwrap();
        let end = |file: &File| Stdio::from(OwnedFd::from(file.try_clone().unwrap()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tui-peer"));
        command
            .args(["--listen", "127.0.0.1:0"])
            .args(args)
            .env_clear()
            .env("HOME", home.path())
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            // Nothing is heard of other networks.
            .env("SHOAL_NEAR", "0")
            .envs(env.iter().copied())
            .stdin(end(&slave))
            .stdout(end(&slave))
            .stderr(end(&slave));
        let child = command.spawn().unwrap();
        let master = File::from(master);
        let mut reader = master.try_clone().unwrap();
        let (tx, bytes) = channel();
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut part) {
                if tx.send(part[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { master, slave, child, bytes, all: Vec::new(), _home: home }
    }

    /// Reads until `text` came, counted from `from`; where it is.
    fn until(&mut self, text: &[u8], from: usize) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.all[from..].windows(text.len()).position(|w| w == text) {
                return from + at;
            }
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(part) => self.all.extend(part),
                Err(_) => panic!(
                    "never saw {:?} in {:?}",
                    String::from_utf8_lossy(text),
                    String::from_utf8_lossy(&self.all)
                ),
            }
        }
    }

    fn kill(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn is_canonical(&self) -> bool {
        tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    /// The terminal as a terminal sees it, from `from` on.
    fn screen(&self, from: usize) -> vt100::Parser {
        let mut parser = vt100::Parser::new(24, 80, 0);
        parser.process(&self.all[from..]);
        parser
    }

    /// Everything that was set is not set any more.
    fn assert_reset(&self) {
        let parser = self.screen(0);
        let screen = parser.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        let text = String::from_utf8_lossy(&self.all);
        for mode in ["1004", "2026", "1049", "1000", "1002", "1006", "2004"] {
            let (on, off) = (format!("\x1b[?{mode}h"), format!("\x1b[?{mode}l"));
            assert!(text.contains(&on), "{mode} was never set");
            assert!(text.rfind(&on) < text.rfind(&off), "{mode} stays on");
        }
        assert_eq!(text.matches("\x1b[22;2t").count(), text.matches("\x1b[23;2t").count());
        assert!(self.is_canonical(), "the terminal stays raw");
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // Gone already, mostly.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut pty = Pty::start(&[], &[]);
        pty.until(b"\x1b[?2026l", 0);
        assert!(!pty.is_canonical());
        pty.kill(signal);
        let status = pty.child.wait().unwrap();
        assert_eq!(status.code(), Some(128 + signal.as_raw()));
        pty.until(b"\x1b[?1049l", 0);
        pty.until(b"\x1b[23;2t", 0);
        pty.assert_reset();
    }
}

#[test]
fn stopping_gives_the_terminal_back_and_continuing_takes_it_again() {
    let mut pty = Pty::start(&[], &[]);
    pty.until(b"\x1b[?2026l", 0);
    pty.kill(Signal::TSTP);
    let left = pty.until(b"\x1b[23;2t", 0);
    // The program stops itself right after; wait for that, not for a time.
    let stat = format!("/proc/{}/stat", pty.child.id());
    let deadline = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
        assert!(Instant::now() < deadline, "never stopped");
        std::thread::yield_now();
    }
    pty.assert_reset();
    pty.kill(Signal::CONT);
    let again = pty.until(b"\x1b[?1049h", left);
    pty.until(b"\x1b[?2026l", again);
    assert!(!pty.is_canonical());
    pty.kill(Signal::TERM);
    pty.child.wait().unwrap();
    pty.until(b"\x1b[23;2t", again);
    pty.assert_reset();
}

#[test]
fn the_answer_of_the_terminal_is_used_and_not_typed() {
    let mut pty = Pty::start(&[], &[]);
    let asked = pty.until(b"\x1b]11;?", 0);
    pty.until(b"\x1b[c", asked);
    pty.master.write_all(b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?0u\x1b[?62c").unwrap();
    // Kitty's keyboard, because it answered; taken back at the end.
    pty.until(b"\x1b[>1u", asked);
    let frame = pty.until(b"\x1b[?2026l", 0);
    let text = pty.screen(0).screen().contents();
    assert!(!text.contains("rgb:") && !text.contains("ffff"), "{text}");
    pty.kill(Signal::TERM);
    pty.until(b"\x1b[<1u", frame);
    pty.until(b"\x1b[23;2t", frame);
    pty.assert_reset();
}

#[test]
fn a_simple_terminal_gets_lines() {
    for (env, args) in
        [(&[("TERM", "dumb")][..], &[][..]), (&[("ACCESSIBLE", "1")], &[]), (&[], &["--plain"])]
    {
        let mut pty = Pty::start(env, args);
        pty.until(b"Number or word: ", 0);
        assert!(!pty.all.contains(&0x1b), "{:?}", String::from_utf8_lossy(&pty.all));
        pty.master.write_all(b"0\n").unwrap();
        assert_eq!(pty.child.wait().unwrap().code(), Some(0));
    }
}
