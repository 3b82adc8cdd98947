//! Whether what is shared still lies on the disk as it was hashed: looks, verdicts for those who asked, and chunks that
//! cannot be read.

use std::time::Instant;

use super::changed::Looks;
use super::failing::Failing;
use super::verify::Verdicts;

/// See the module. Each part is private to the file that it is of.
pub(super) struct Checks {
    /// When shares are looked at.
    pub(super) looks: Looks,
    pub(super) verdicts: Verdicts,
    pub(super) failing: Failing,
}

impl Checks {
    pub(super) fn new(now: Instant) -> Self {
        let (verdicts, failing) = (Verdicts::default(), Failing::default());
        Self { looks: Looks::new(now), verdicts, failing }
    }
}
