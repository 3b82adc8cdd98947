//! What is on its way to be shared: looked for, then hashed, then told.

use super::hashing::HashJobs;
use super::path_lookups::PathLookups;
use super::telling::Telling;

/// See the module. Each part is private to the file that it is of.
#[derive(Default)]
pub(super) struct Sharing {
    /// What is to be shared and not found yet.
    pub(super) sought: PathLookups,
    pub(super) jobs: HashJobs,
    /// News of what was hashed, and of what others can find by now.
    pub(super) telling: Telling,
}
