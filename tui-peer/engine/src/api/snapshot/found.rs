//! Folders that were found by the files inside: asked for, and kept nowhere.

use serde::{Deserialize, Serialize};

use super::CatalogueRow;

/// A folder in which files were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundInside {
    /// The folder.
    pub row: CatalogueRow,
    /// Paths of the first of those files, below the folder, safe to show; at most
    /// [`MAX_FIND_PATHS`](common::limits::MAX_FIND_PATHS).
    pub paths: Vec<String>,
    /// How many of its files were found.
    pub files: u32,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Those with most sources first.
    pub rows: Vec<FoundInside>,
    /// There may be more.
    pub more: bool,
}
