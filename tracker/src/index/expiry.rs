//! What is due when, in buckets of one second: time passing costs nothing for peers that are not due.

use std::collections::BTreeMap;

/// Width of a bucket in milliseconds.
const BUCKET_MS: u64 = 1000;

/// Handles by the time at which somebody should look at them. An entry is a reminder, not a fact:
/// whoever takes it checks whether it still holds.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    buckets: BTreeMap<u64, Vec<u32>>,
}

impl Expiry {
    /// Remembers `handle` for the end of the bucket of `at_ms`.
    pub(super) fn add(&mut self, at_ms: u64, handle: u32) {
        self.buckets.entry(at_ms / BUCKET_MS + 1).or_default().push(handle);
    }

    /// Takes one that is due; call until `None`.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<u32> {
        while self.is_due(now_ms)
            && let Some(mut first) = self.buckets.first_entry()
        {
            let handle = first.get_mut().pop();
            if first.get().is_empty() {
                first.remove();
            }
            if handle.is_some() {
                return handle;
            }
        }
        None
    }

    /// Whether one is.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        self.buckets.first_key_value().is_some_and(|(second, _)| *second <= now_ms / BUCKET_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_due_early() {
        let mut expiry = Expiry::default();
        expiry.add(60_500, 1);
        expiry.add(60_900, 2);
        expiry.add(90_000, 3);
        assert_eq!(expiry.take_due(60_999), None);
        assert!(expiry.is_due(61_000));
        assert_eq!((expiry.take_due(61_000), expiry.take_due(61_000)), (Some(2), Some(1)));
        assert_eq!(expiry.take_due(61_000), None);
        assert!(!expiry.is_due(61_000));
        assert_eq!(expiry.take_due(1_000_000), Some(3));
    }
}
