//! The network's files as a front end shows them.

use common::content::Kind;
use common::id::ContentId;
use serde::{Deserialize, Serialize};

use super::Rows;

/// The network's files.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Catalogue {
    /// Counts up with every change.
    pub version: u64,
    /// Sorted by name, then id.
    pub rows: Rows<CatalogueRow>,
    /// Whether all pages have arrived since we (re)joined.
    pub whole: bool,
}

/// One content of the network. There may be 200,000 of them: a word more in it is 1.5 MB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct CatalogueRow {
    /// Its id.
    pub id: ContentId,
    /// Its name, safe to show.
    pub name: Box<str>,
    /// What else it is called; most contents have one name.
    pub others: Option<Box<OtherNames>>,
    /// File or folder.
    pub kind: Kind,
    /// Bytes of all its files (a claim until it is downloaded).
    pub size: u64,
    /// Its chunks (a claim until it is downloaded).
    pub chunks: u32,
    /// Connected peers with at least one chunk.
    pub sources: u32,
    /// Connected peers with all chunks.
    pub complete: u32,
    /// When it first appeared, in seconds since 1970.
    pub first_seen: u64,
}

/// What a content is called besides the name that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherNames {
    raw: Option<Box<str>>,
    aliases: Vec<Box<str>>,
}

impl OtherNames {
    /// `raw` is the name as its owner gave it, where that is not how it is shown; `aliases` are what others
    /// call it, safe to show. `None` if there are none.
    pub fn of(raw: Option<Box<str>>, aliases: Vec<Box<str>>) -> Option<Box<Self>> {
        (raw.is_some() || !aliases.is_empty()).then(|| Box::new(Self { raw, aliases }))
    }
}

impl CatalogueRow {
    /// Its name as its owner gave it: not for a screen.
    pub fn raw_name(&self) -> &str {
        self.raw().unwrap_or(&self.name)
    }

    fn raw(&self) -> Option<&str> {
        self.others.as_ref()?.raw.as_deref()
    }

    /// What others call it, safe to show.
    pub fn aliases(&self) -> &[Box<str>] {
        self.others.as_ref().map_or(&[], |others| &others.aliases)
    }

    /// Bytes of all its names.
    pub(crate) fn text_len(&self) -> usize {
        self.raw()
            .into_iter()
            .chain(self.aliases().iter().map(|alias| &**alias))
            .map(str::len)
            .sum::<usize>()
            + self.name.len()
    }
}

/// A row between processes.
#[derive(Serialize, Deserialize)]
struct Written {
    id: ContentId,
    name: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<Box<str>>,
    aliases: Vec<Box<str>>,
    kind: Kind,
    size: u64,
    chunks: u32,
    sources: u32,
    complete: u32,
    first_seen: u64,
}

impl From<CatalogueRow> for Written {
    fn from(row: CatalogueRow) -> Self {
        let CatalogueRow { id, name, others, kind, size, chunks, sources, complete, first_seen } =
            row;
        let (raw, aliases) = others.map_or_else(Default::default, |o| (o.raw, o.aliases));
        Self { id, name, raw, aliases, kind, size, chunks, sources, complete, first_seen }
    }
}

impl From<Written> for CatalogueRow {
    fn from(row: Written) -> Self {
        let Written { id, name, raw, aliases, kind, size, chunks, sources, complete, first_seen } =
            row;
        let others = OtherNames::of(raw, aliases);
        Self { id, name, others, kind, size, chunks, sources, complete, first_seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(others: Option<Box<OtherNames>>) -> CatalogueRow {
        CatalogueRow {
            id: ContentId::from_bytes([1; 32]),
            name: "a".into(),
            others,
            kind: Kind::File,
            size: 1,
            chunks: 1,
            sources: 1,
            complete: 1,
            first_seen: 1,
        }
    }

    #[test]
    fn a_row_of_one_name_stays_small_and_is_written_as_ever() {
        assert_eq!(OtherNames::of(None, vec![]), None);
        assert!(size_of::<CatalogueRow>() <= 88, "200,000 of them are kept");
        let plain = row(None);
        assert_eq!((plain.raw_name(), plain.aliases()), ("a", [].as_slice()));
        let json = serde_json::to_value(&plain).unwrap();
        assert_eq!(json["aliases"], serde_json::json!([]));
        assert_eq!(json.get("raw"), None);
        let many = row(OtherNames::of(Some("a\u{1b}".into()), vec!["b".into()]));
        assert_eq!((many.raw_name(), many.text_len()), ("a\u{1b}", 4));
        for row in [plain, many] {
            let written = rmp_serde::to_vec_named(&row).unwrap();
            assert_eq!(rmp_serde::from_slice::<CatalogueRow>(&written).unwrap(), row);
        }
    }
}
