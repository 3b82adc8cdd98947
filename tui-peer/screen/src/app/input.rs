//! What comes from the terminal: keys, mouse, sizes, and its being taken and given back.

use std::time::Instant;

use crossterm::event::{Event as Input, KeyEventKind, MouseEventKind};
use ratatui::layout::Rect;

use super::App;
use crate::msg::Msg;
use crate::terminal::{Front, Happened};

/// Inputs handled before the next frame: a paste or a held key must not starve the screen.
const MAX_BATCH: usize = 256;

impl<F: Front> App<'_, F> {
    /// One input, and those that are ready behind it.
    pub(super) async fn inputs(&mut self, first: Happened) {
        let mut next = Some(first);
        for _ in 0..MAX_BATCH {
            match next {
                Some(Happened::Input(input)) => self.input(input),
                Some(Happened::Stop) => self.suspend(),
                Some(Happened::Continued) => {
                    // An error shows at the next frame.
                    let _ = self.front.resume();
                    self.refit();
                }
                Some(Happened::Written(took)) => self.pace.written(took),
                None => {}
            }
            if self.exit.is_some() {
                return;
            }
            // Polled with this task's own waker: the next key wakes whoever asked last, and a no-op waker
            // would leave the screen one key behind.
            let ready = futures_util::poll!(std::pin::pin!(self.front.event()));
            next = match ready {
                std::task::Poll::Ready(Some(Ok(input))) => Some(input),
                _ => return,
            };
        }
        // Give the others a turn.
        tokio::task::yield_now().await;
    }

    fn input(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => {
                self.pace.key(now);
                self.message(Msg::Key(key));
            }
            Input::Paste(text) => self.message(Msg::Paste(text)),
            // Moves alone change nothing: they must not cause a frame.
            Input::Mouse(mouse) if mouse.kind != MouseEventKind::Moved => {
                match mouse.kind {
                    MouseEventKind::Down(_) | MouseEventKind::Up(_) => self.pace.key(now),
                    _ => self.pace.scrolled(now),
                }
                self.message(Msg::Mouse(mouse));
            }
            Input::Resize(width, height) => self.pace.resized((width, height), now),
            Input::FocusGained => {
                self.pace.looked_at(now);
                self.message(Msg::Attention(true));
            }
            Input::FocusLost => self.message(Msg::Attention(false)),
            Input::Key(_) | Input::Mouse(_) => {}
        }
    }

    pub(super) fn resize(&mut self, width: u16, height: u16) {
        // Clears as well; an error shows at the next frame.
        let _ = self.front.terminal().resize(Rect::new(0, 0, width, height));
        self.message(Msg::Resize(width, height));
    }

    pub(super) fn suspend(&mut self) {
        if let Err(error) = self.front.suspend() {
            tracing::warn!("cannot suspend: {error}");
        }
        self.refit();
    }

    /// After somebody else had the terminal: it may have another size, and shows something else.
    fn refit(&mut self) {
        self.signs.reset();
        if let Some((width, height)) = self.front.size() {
            self.resize(width, height);
        }
        self.repaint();
    }

    pub(super) fn repaint(&mut self) {
        // Forgets what is on the screen; an error shows at the next frame.
        let _ = self.front.terminal().clear();
        self.dirty = true;
    }
}
