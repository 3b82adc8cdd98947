//! The whole loop on a terminal made of memory: what reaches it, and when.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use engine::api::command::{Command, Reply};
use engine::api::handle::{HandleParts, channel};
use futures_util::future::BoxFuture;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use screen::app::drive;
use screen::model::Prefs;
use screen::msg::ExitReason;
use screen::notifications::Known;
use screen::output::FrameBuffer;
use screen::terminal::{Copied, Front, Happened, terminal};
use screen::theme::{Depth, Detected, Glyphs, Ground, Theme};
use settings::{Item, Table};
use tokio::sync::mpsc;

use super::stage;
use super::testkit;

/// A terminal of memory. Every frame goes to the test.
struct Memory<W: io::Write = FrameBuffer> {
    terminal: Terminal<CrosstermBackend<W>>,
    buffer: FrameBuffer,
    input: mpsc::Receiver<Event>,
    frames: mpsc::Sender<Vec<u8>>,
    asides: mpsc::Sender<Vec<u8>>,
}

impl<W: io::Write + Send> Front for Memory<W> {
    type Backend = CrosstermBackend<W>;

    fn terminal(&mut self) -> &mut Terminal<Self::Backend> {
        &mut self.terminal
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn commit(&mut self) -> io::Result<()> {
        self.frames.try_send(self.buffer.take()).map_err(io::Error::other)
    }

    fn aside(&mut self, bytes: &[u8]) {
        self.asides.try_send(bytes.to_vec()).expect("room");
    }

    async fn event(&mut self) -> Option<io::Result<Happened>> {
        self.input.recv().await.map(|input| Ok(Happened::Input(input)))
    }

    fn mouse(&mut self, _on: bool) {}

    fn copy(&mut self, _text: String) -> BoxFuture<'static, Copied> {
        Box::pin(std::future::ready(Ok("memory")))
    }

    fn suspend(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn resume(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> Option<(u16, u16)> {
        None
    }
}

struct Play {
    input: mpsc::Sender<Event>,
    frames: mpsc::Receiver<Vec<u8>>,
    /// Kept open: whoever sends must not find it closed.
    asides: mpsc::Receiver<Vec<u8>>,
    parts: HandleParts,
    screen: vt100::Parser,
    app: tokio::task::JoinHandle<io::Result<ExitReason>>,
    signal: tokio::sync::oneshot::Sender<i32>,
}

fn play(width: u16, height: u16) -> Play {
    play_with(width, height, Table::default())
}

fn play_with(width: u16, height: u16, table: Table) -> Play {
    play_on(width, height, table, Known::default())
}

fn play_on(width: u16, height: u16, table: Table, known: Known) -> Play {
    let snap = testkit::rich(Instant::now());
    let (handle, parts) = channel(snap.clone());
    let (input, input_rx) = mpsc::channel(64);
    let (frames_tx, frames) = mpsc::channel(1024);
    let (asides_tx, asides) = mpsc::channel(1024);
    let theme = Theme::new(Depth::Full, Glyphs::Unicode, Ground::Dark);
    let mut model = stage::model(snap, width, height, theme);
    model.set_prefs(Prefs::new(table, Detected::default()));
    let (signal, signal_rx) = tokio::sync::oneshot::channel();
    let app = tokio::spawn(async move {
        let buffer = FrameBuffer::default();
        let mut front = Memory {
            terminal: terminal(&buffer, width, height)?,
            buffer,
            input: input_rx,
            frames: frames_tx,
            asides: asides_tx,
        };
        let signal = Box::pin(async move {
            match signal_rx.await {
                Ok(number) => number,
                Err(_) => std::future::pending().await,
            }
        });
        Ok(drive(handle, model, &mut front, known, signal).await)
    });
    Play { input, frames, asides, parts, screen: vt100::Parser::new(height, width, 0), app, signal }
}

impl Play {
    async fn key(&self, code: KeyCode) {
        self.input.send(Event::Key(KeyEvent::new(code, KeyModifiers::NONE))).await.unwrap();
    }

    /// Takes frames until the screen shows `text`.
    async fn until(&mut self, text: &str) {
        let wait = async {
            while !self.screen.screen().contents().contains(text) {
                let frame = self.frames.recv().await.expect("a frame");
                assert!(
                    frame.starts_with(b"\x1b[?2026h") && frame.ends_with(b"\x1b[?2026l"),
                    "frames appear at once"
                );
                self.screen.process(&frame);
            }
        };
        if tokio::time::timeout(Duration::from_secs(20), wait).await.is_err() {
            panic!("never saw {text:?} in\n{}", self.screen.screen().contents());
        }
    }

    async fn command(&mut self) -> Command {
        loop {
            let (command, reply) = self.parts.commands.recv().await.unwrap();
            let _ = reply.send(Ok(Reply::Accepted));
            if !matches!(command, Command::Focus { .. }) {
                return command;
            }
        }
    }
}

#[tokio::test]
async fn keys_and_data_reach_the_screen_and_rest_is_silent() {
    let mut play = play(80, 24);
    play.until("Network 1,204").await;
    let (command, reply) = play.parts.commands.recv().await.unwrap();
    assert!(
        matches!(command, Command::Focus { id: Some(_), .. }),
        "the engine is told what is looked at"
    );
    reply.send(Ok(Reply::Accepted)).unwrap();
    // Nothing happens: nothing is written, however long.
    let silent = tokio::time::timeout(Duration::from_millis(400), play.frames.recv()).await;
    assert!(silent.is_err(), "a frame at rest");
    let mut snap = testkit::rich(Instant::now());
    snap.seq = 2;
    snap.catalogue = Arc::new(testkit::catalogue(27));
    play.parts.snapshots.send_replace(Arc::new(snap));
    play.until("Network 27").await;
    play.parts.events.send(testkit::events().remove(0));
    play.until("91be").await;
    play.key(KeyCode::Char('A')).await;
    assert!(matches!(play.command().await, Command::Announce));
    play.until("asking the tracker").await;
    play.input.send(Event::Resize(60, 20)).await.unwrap();
    play.screen.screen_mut().set_size(20, 60);
    play.until("[1 Files]").await;
    play.input
        .send(Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)))
        .await
        .unwrap();
    play.input
        .send(Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)))
        .await
        .unwrap();
    assert_eq!(play.app.await.unwrap().unwrap(), ExitReason::QuitNow);
}

#[tokio::test]
async fn the_bytes_draw_the_same_screen_as_the_view() {
    let mut play = play(120, 40);
    play.until("Network 1,204").await;
    let expected = stage::Stage::new(
        testkit::rich(Instant::now()),
        120,
        40,
        Theme::new(Depth::Full, Glyphs::Unicode, Ground::Dark),
    );
    let shown = play.screen.screen().contents();
    let wanted = expected.screen();
    // The log differs: no events were sent here.
    for (shown, wanted) in shown.lines().zip(wanted.lines()).take(26) {
        assert_eq!(shown.trim_end(), wanted.trim_end());
    }
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
}

#[tokio::test]
async fn signals_and_the_end_of_the_engine_end_the_app() {
    let mut first = play(80, 24);
    first.until("Network").await;
    first.signal.send(15).unwrap();
    assert_eq!(first.app.await.unwrap().unwrap(), ExitReason::Signal(15));
    let mut second = play(80, 24);
    second.until("Network").await;
    drop(second.parts);
    assert_eq!(second.app.await.unwrap().unwrap(), ExitReason::EngineStopped);
    let mut third = play(80, 24);
    third.until("Network").await;
    drop(third.input);
    let end = third.app.await.unwrap().unwrap();
    assert_eq!(end, ExitReason::Gone("the terminal gives no more input".to_owned()));
}

#[tokio::test]
async fn settings_changed_just_before_the_end_are_saved() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("shoal/config.toml");
    let mut table = Table::default();
    table.path = Some(path.clone());
    let mut play = play_with(80, 24, table);
    play.until("Network").await;
    for _ in 0..3 {
        play.key(KeyCode::Char('T')).await;
    }
    for _ in 0..2 {
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        play.input.send(Event::Key(ctrl_c)).await.unwrap();
    }
    assert_eq!(play.app.await.unwrap().unwrap(), ExitReason::QuitNow);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "[look]\ntheme = \"mono\"\n");
}

#[tokio::test]
async fn a_terminal_that_goes_away_may_leave_the_peer_serving() {
    const HANGUP: i32 = 1;
    let mut plain = play(80, 24);
    plain.until("Network").await;
    plain.signal.send(HANGUP).unwrap();
    assert_eq!(plain.app.await.unwrap().unwrap(), ExitReason::Signal(HANGUP));
    let mut table = Table::default();
    table.set(Item::Hangup, "serve").unwrap();
    let mut serving = play_with(80, 24, table);
    serving.until("Network").await;
    serving.signal.send(HANGUP).unwrap();
    assert_eq!(serving.app.await.unwrap().unwrap(), ExitReason::ServeOn);
}

/// A terminal that breaks when it is drawn to.
#[derive(Debug, Clone, Default)]
struct Broken;

impl io::Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        panic!("a mistake in the screen's own code");
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_of_the_screen_ends_the_app_in_order() {
    let snap = testkit::rich(Instant::now());
    let (handle, _parts) = channel(snap.clone());
    let theme = Theme::new(Depth::Full, Glyphs::Unicode, Ground::Dark);
    let model = stage::model(snap, 80, 24, theme);
    let options = ratatui::TerminalOptions {
        viewport: ratatui::Viewport::Fixed(ratatui::layout::Rect::new(0, 0, 80, 24)),
    };
    let (_keep_open, input) = mpsc::channel(1);
    let mut front = Memory {
        terminal: Terminal::with_options(CrosstermBackend::new(Broken), options).unwrap(),
        buffer: FrameBuffer::default(),
        input,
        frames: mpsc::channel(1).0,
        asides: mpsc::channel(1).0,
    };
    let never = Box::pin(std::future::pending());
    let reason = drive(handle, model, &mut front, Known::default(), never).await;
    assert_eq!(reason, ExitReason::Panicked);
}

#[tokio::test]
async fn the_title_says_how_it_goes_and_repeats_nothing() {
    let known = Known { title: true, progress: true, notify: None };
    let mut play = play_on(80, 24, Table::default(), known);
    play.until("Network").await;
    let first = String::from_utf8(play.asides.recv().await.unwrap()).unwrap();
    assert!(first.starts_with("\x1b]2;↓ ") && first.contains("MiB/s — Shoal\x1b\\"), "{first:?}");
    assert!(first.contains("\x1b]9;4;1;"), "{first:?}");
    play.key(KeyCode::Char('A')).await;
    assert!(matches!(play.command().await, Command::Announce));
    play.until("asking the tracker").await;
    assert!(play.asides.try_recv().is_err(), "the same again");
}

#[tokio::test]
async fn a_burst_of_sizes_is_painted_once() {
    let mut play = play(80, 24);
    play.until("Network").await;
    for width in 81..=120 {
        play.input.send(Event::Resize(width, 40)).await.unwrap();
    }
    play.screen.screen_mut().set_size(40, 120);
    play.until("3 Sources").await;
    // One for the new size; a second one if the burst took longer than 30 ms.
    let mut more = 0;
    while play.frames.try_recv().is_ok() {
        more += 1;
    }
    assert!(more <= 3, "{more} frames for one burst");
}

#[tokio::test]
async fn what_the_log_does_not_show_costs_no_frame() {
    let mut play = play(80, 24);
    play.until("Network").await;
    let mut event = testkit::events().remove(0);
    event.level = engine::api::event::Level::Debug;
    event.what = engine::api::event::What::Said;
    play.parts.events.send(event);
    // A snapshot that looks the same.
    let same = play.parts.snapshots.borrow().clone();
    let mut next = (*same).clone();
    next.seq += 1;
    play.parts.snapshots.send_replace(Arc::new(next));
    let silent = tokio::time::timeout(Duration::from_millis(600), play.frames.recv()).await;
    assert!(silent.is_err(), "a frame for nothing");
}
