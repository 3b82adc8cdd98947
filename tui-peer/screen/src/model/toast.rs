//! Short messages in place of the footer. At most three; the same text again only counts.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Tone;

/// Most at once.
const MAX: usize = 3;
/// How long good news stays.
const SHORT: Duration = Duration::from_secs(4);
/// How long bad news stays.
const LONG: Duration = Duration::from_secs(8);

/// One message.
#[derive(Debug, Clone)]
pub struct Toast {
    /// What.
    pub text: String,
    /// Good or bad.
    pub tone: Tone,
    /// How often.
    pub times: u32,
    /// Until when.
    pub until: Instant,
}

/// Messages, the newest last.
#[derive(Debug, Clone, Default)]
pub struct Toasts(VecDeque<Toast>);

impl Toasts {
    /// Shows a message.
    pub fn push(&mut self, tone: Tone, text: String, now: Instant) {
        let until = now + if tone == Tone::Bad { LONG } else { SHORT };
        let times = self
            .0
            .iter()
            .position(|t| t.text == text)
            .and_then(|at| self.0.remove(at))
            .map_or(1, |t| t.times + 1);
        if self.0.len() >= MAX {
            self.0.pop_front();
        }
        self.0.push_back(Toast { text, tone, times, until });
    }

    /// Shows a message for a time of its own.
    pub fn push_for(&mut self, tone: Tone, text: String, now: Instant, time: Duration) {
        self.push(tone, text, now);
        if let Some(toast) = self.0.back_mut() {
            toast.until = now + time;
        }
    }

    /// Removes what was shown long enough.
    pub fn expire(&mut self, now: Instant) {
        self.0.retain(|toast| toast.until > now);
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// When the next one ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|toast| toast.until).min()
    }

    /// The newest.
    pub fn newest(&self) -> Option<&Toast> {
        self.0.back()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_text_counts_and_old_ones_go() {
        let now = Instant::now();
        let mut toasts = Toasts::default();
        for text in ["a", "b", "a", "c", "d"] {
            toasts.push(Tone::Good, text.to_owned(), now);
        }
        assert_eq!(toasts.len(), 3);
        toasts.push(Tone::Good, "a".to_owned(), now);
        assert_eq!(toasts.newest().map(|t| t.times), Some(3));
        toasts.expire(now + SHORT);
        assert!(toasts.is_empty() && toasts.deadline().is_none());
    }
}
