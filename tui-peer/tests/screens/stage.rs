//! A model with a screen: press keys, read text.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use engine::api::command::Command;
use engine::api::snapshot::Snapshot;
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use screen::keymap::Keymap;
use screen::model::{Job, Model, Now, Setting};
use screen::msg::{Effect, Msg};
use screen::theme::{Depth, Glyphs, Ground, Theme};
use screen::{update, view};

use super::testkit;

pub(crate) struct Stage {
    pub(crate) model: Model,
    pub(crate) effects: Vec<Effect>,
}

pub(crate) fn setting() -> Setting {
    Setting {
        near: None,
        home: Some(PathBuf::from("/home/ada")),
        cwd: PathBuf::from("/home/ada"),
        zone: TimeZone::UTC,
        job_control: true,
        desktop: false,
        demo: true,
        wanted_port: None,
        attached: None,
    }
}

pub(crate) fn model(snap: Snapshot, width: u16, height: u16, theme: Theme) -> Model {
    let now = Now { mono: snap.at, wall: testkit::wall() };
    Model::new(setting(), theme, Keymap::standard(), Arc::new(snap), (width, height), now)
}

impl Stage {
    pub(crate) fn rich(width: u16, height: u16) -> Self {
        Self::with_look(width, height, Depth::Full, Glyphs::Unicode, Ground::Dark)
    }

    pub(crate) fn with_look(
        width: u16,
        height: u16,
        depth: Depth,
        glyphs: Glyphs,
        ground: Ground,
    ) -> Self {
        let theme = Theme::new(depth, glyphs, ground);
        Self::new(testkit::rich(Instant::now()), width, height, theme)
    }

    pub(crate) fn of(snap: Snapshot, width: u16, height: u16) -> Self {
        let theme = Theme::new(Depth::Full, Glyphs::Unicode, Ground::Dark);
        Self::new(snap, width, height, theme)
    }

    pub(crate) fn new(snap: Snapshot, width: u16, height: u16, theme: Theme) -> Self {
        let mut model = model(snap, width, height, theme);
        let effects = update::start(&mut model);
        let mut stage = Self { model, effects };
        for event in testkit::events() {
            stage.send(Msg::Event(event));
        }
        stage
    }

    pub(crate) fn send(&mut self, msg: Msg) {
        self.effects.extend(update::update(&mut self.model, msg));
    }

    /// What was asked of the engine since the last time; other effects are dropped.
    pub(crate) fn calls(&mut self) -> Vec<Command> {
        let calls = self.effects.drain(..).filter_map(|effect| match effect {
            Effect::Call(command, _) => Some(command),
            _ => None,
        });
        calls.collect()
    }

    /// The order of a long list that is to be worked out elsewhere; other effects are dropped.
    pub(crate) fn job(&mut self) -> Job {
        let mut jobs = self.effects.drain(..).filter_map(|effect| match effect {
            Effect::Index(job) => Some(job),
            _ => None,
        });
        jobs.next().unwrap()
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.model.now.mono += time;
        self.model.now.wall += time;
        self.send(Msg::Tick);
    }

    /// Presses keys: characters stand for themselves, `<Enter>`, `<Esc>`, `<Tab>`, `<C-d>`... for others.
    pub(crate) fn keys(&mut self, keys: &str) {
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let (code, modifiers, used) =
                match rest.strip_prefix('<').and_then(|r| r.split_once('>')) {
                    Some((name, _)) if name.len() > 1 && !name.contains(' ') => {
                        let (code, modifiers) = named(name);
                        (code, modifiers, name.len() + 2)
                    }
                    _ => (KeyCode::Char(c), KeyModifiers::NONE, c.len_utf8()),
                };
            rest = &rest[used..];
            self.send(Msg::Key(KeyEvent::new(code, modifiers)));
        }
    }

    pub(crate) fn terminal(&self) -> Terminal<TestBackend> {
        let (width, height) = self.model.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view::view(&self.model, frame)).unwrap();
        terminal
    }

    pub(crate) fn screen(&self) -> String {
        let terminal = self.terminal();
        let buffer = terminal.backend().buffer();
        let mut out = String::new();
        for y in 0..buffer.area.height {
            let mut line = String::new();
            let mut skip = 0;
            for x in 0..buffer.area.width {
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                let symbol = buffer[(x, y)].symbol();
                skip = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
                line.push_str(symbol);
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// Runs of equal style, one line each.
    pub(crate) fn styles(&self) -> String {
        let terminal = self.terminal();
        let buffer = terminal.backend().buffer();
        let mut out = String::new();
        let mut last = None;
        for y in 0..buffer.area.height {
            for x in 0..buffer.area.width {
                let cell = &buffer[(x, y)];
                let style = (cell.fg, cell.bg, cell.modifier);
                if last != Some(style) {
                    out.push_str(&format!(
                        "{y:>2},{x:>3} {:?} on {:?} {:?}\n",
                        cell.fg, cell.bg, cell.modifier
                    ));
                    last = Some(style);
                }
            }
        }
        out
    }
}

fn named(name: &str) -> (KeyCode, KeyModifiers) {
    let none = KeyModifiers::NONE;
    match name {
        "Enter" => (KeyCode::Enter, none),
        "Esc" => (KeyCode::Esc, none),
        "Tab" => (KeyCode::Tab, none),
        "Up" => (KeyCode::Up, none),
        "Down" => (KeyCode::Down, none),
        "Left" => (KeyCode::Left, none),
        "Right" => (KeyCode::Right, none),
        "PgDn" => (KeyCode::PageDown, none),
        "S-Tab" => (KeyCode::BackTab, none),
        "F2" => (KeyCode::F(2), none),
        "Insert" => (KeyCode::Insert, none),
        "Back" => (KeyCode::Backspace, none),
        "F3" => (KeyCode::F(3), none),
        other => {
            let c = other.strip_prefix("C-").and_then(|c| c.chars().next()).expect("a key");
            (KeyCode::Char(c), KeyModifiers::CONTROL)
        }
    }
}
