//! Token buckets: so many requests per second of each kind, more in a burst. Pure.

use common::wire::tracker::Request;

/// One bucket, in thousandths of a token.
#[derive(Debug, Clone)]
struct Bucket {
    milli: u64,
    full: u64,
    /// Tokens per second, which is thousandths per millisecond.
    rate: u64,
    last_ms: u64,
}

/// The buckets of one connection. Generous: they stop a loop gone wild, not a busy user.
#[derive(Debug, Clone)]
pub(super) struct Rates {
    /// A list is one pass over the catalogue; filtering while typing asks a few times a second.
    list: Bucket,
    /// The next page waits for the one before, so reading on limits itself; 200 a second are 100,000 rows.
    next_page: Bucket,
    locations: Bucket,
    /// 200 batches of 256 files are 51,200 files a second.
    register: Bucket,
    /// A second's progress of all downloads is one message.
    chunks: Bucket,
    other: Bucket,
}

impl Rates {
    pub(super) fn new(now_ms: u64) -> Self {
        let bucket = |rate: u64, burst: u64| Bucket {
            milli: burst * 1000,
            full: burst * 1000,
            rate,
            last_ms: now_ms,
        };
        Self {
            list: bucket(20, 60),
            next_page: bucket(200, 1000),
            locations: bucket(100, 500),
            register: bucket(200, 1000),
            chunks: bucket(20, 100),
            other: bucket(100, 500),
        }
    }

    /// Takes a token for `request`.
    ///
    /// # Errors
    /// Milliseconds until there is one.
    pub(super) fn take(&mut self, request: &Request, now_ms: u64) -> Result<(), u64> {
        let bucket = match request {
            Request::FileList { cursor, .. } if cursor.is_empty() => &mut self.list,
            Request::FileList { .. } => &mut self.next_page,
            Request::FileLocations { .. } => &mut self.locations,
            Request::Register { .. } | Request::Unregister { .. } => &mut self.register,
            Request::ChunkRegister { .. } => &mut self.chunks,
            _ => &mut self.other,
        };
        bucket.take(now_ms)
    }
}

impl Bucket {
    fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        let passed = now_ms.saturating_sub(self.last_ms);
        self.last_ms = now_ms.max(self.last_ms);
        self.milli = passed.saturating_mul(self.rate).saturating_add(self.milli).min(self.full);
        match self.milli.checked_sub(1000) {
            Some(left) => {
                self.milli = left;
                Ok(())
            }
            None => Err((1000 - self.milli).div_ceil(self.rate.max(1)).max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_counts() {
        let list = Request::FileList {
            q: 1,
            query: String::new(),
            cursor: Vec::new(),
            limit: 1,
            sort: common::wire::tracker::Sort::Name,
        };
        let mut rates = Rates::new(1000);
        for _ in 0..60 {
            assert_eq!(rates.take(&list, 1000), Ok(()));
        }
        assert_eq!(rates.take(&list, 1000), Err(50));
        assert_eq!(rates.take(&list, 1049), Err(1));
        assert_eq!(rates.take(&list, 1050), Ok(()));
        assert_eq!(rates.take(&list, 1050), Err(50));
        // Other kinds have their own.
        assert_eq!(rates.take(&Request::Ping { q: 1 }, 1050), Ok(()));
        // A clock that jumps back gives nothing for free.
        assert_eq!(rates.take(&list, 0), Err(50));
    }
}
