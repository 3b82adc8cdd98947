//! What a download is and where it is to lie.

use std::path::PathBuf;
use std::sync::Arc;

use common::content::Descriptor;
use common::id::{ContentId, Hash, PeerId};
use common::layout::Layout;
use common::names::PathList;

/// What to download and where to.
#[derive(Debug, Clone)]
pub(crate) struct PartialSpec {
    pub id: ContentId,
    /// Its kind, size and root.
    pub descriptor: Descriptor,
    pub layout: Arc<Layout>,
    /// For a folder, the safe path of every file below it, in layout order.
    pub rel: Option<Arc<PathList>>,
    /// What to call it: one safe component.
    pub name: String,
    /// Target folder; created if it is not there.
    pub dir: PathBuf,
    /// Bytes to be left free on its volume, if not as many as usual.
    pub keep_free: Option<u64>,
    /// Whose download it is, so that what is left of it can be told from what others left.
    pub owner: Option<PeerId>,
}

/// Proven chunk hashes: file, number of the first within the file, hashes.
pub(super) type HashRun = (u32, u32, Vec<Hash>);
