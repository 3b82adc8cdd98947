//! Changes of the index by commands.

use std::time::Duration;

use crate::index::Index;
use crate::shared::Shared;
use crate::store::Commit;

/// How long the store may take before an answer says that it has not yet stored a change.
pub(super) const STORED: Duration = Duration::from_secs(5);

pub(super) async fn apply<T>(
    shared: &Shared,
    work: impl FnOnce(&mut Index) -> T,
) -> Result<(T, Commit), String> {
    shared.apply(work).await.map_err(|error| error.to_string())
}
