//! Names of what a download leaves in its folder while it runs.

use common::id::ContentId;
use common::limits::MAX_NAME_LEN;
use common::names::{check_component, numbered, top_component};

use crate::disk::error::DiskError;

/// Names tried before giving up on finding a free one: more equal names than this is no accident.
pub(in crate::disk) const MAX_NUMBERED: u32 = 1000;
/// Bytes of a name kept, so that the longest of the suffixes still fits.
const MAX_STEM: usize = MAX_NAME_LEN - ".".len() - ".12345678.state.new".len();

/// Sets of names a download may have: the first is the usual one, the others are for where strangers
/// have taken it. Whoever takes all of them means to be in the way.
pub(in crate::disk) const MAX_SLOTS: usize = 8;

/// Names of one download, all in its target folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::disk) struct Names {
    /// What it will be called, but for what [`top_component`] does.
    pub(in crate::disk) target: String,
    /// Data.
    pub(in crate::disk) part: String,
    /// Journal.
    pub(in crate::disk) state: String,
    /// Journal being rewritten.
    pub(in crate::disk) state_new: String,
}

impl Names {
    /// For a download to be called `target`.
    ///
    /// # Errors
    /// [`DiskError::BadName`] for what is not one component.
    pub(in crate::disk) fn new(target: &str, id: &ContentId) -> Result<Self, DiskError> {
        Self::nth(target, id, 0)
    }

    /// All sets of names it may have.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(in crate::disk) fn all(target: &str, id: &ContentId) -> Result<Vec<Self>, DiskError> {
        (0..MAX_SLOTS).map(|n| Self::nth(target, id, n)).collect()
    }

    fn nth(target: &str, id: &ContentId, n: usize) -> Result<Self, DiskError> {
        check_component(target).map_err(|_| DiskError::BadName(target.to_owned()))?;
        let mut short = id.short();
        if n > 0 {
            short.push_str(&format!(".{n}"));
        }
        let most = MAX_STEM - (short.len() - id.short().len());
        let mut stem = target.to_owned();
        while stem.len() > most {
            stem.pop();
        }
        Ok(Self {
            target: target.to_owned(),
            part: format!(".{stem}.{short}.part"),
            state: format!(".{stem}.{short}.state"),
            state_new: format!(".{stem}.{short}.state.new"),
        })
    }

    /// What it may be called, best first.
    pub(in crate::disk) fn targets(&self) -> impl Iterator<Item = String> + '_ {
        let top = top_component(&self.target);
        let first = std::iter::once(top.clone());
        first.chain((1..=MAX_NUMBERED).map(move |n| numbered(&top, n)))
    }

    /// What it may be called already: older programs left the name as it was.
    pub(in crate::disk) fn placed(&self) -> impl Iterator<Item = String> + '_ {
        self.targets().chain(std::iter::once(self.target.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s11_the_name_in_the_folder_is_neither_hidden_nor_an_option() {
        let id = ContentId::from_bytes([1; 32]);
        let names = Names::new(".profile", &id).unwrap();
        let targets: Vec<_> = names.targets().take(2).collect();
        assert_eq!(targets, ["_.profile", "_ (1).profile"]);
        assert!(names.placed().any(|name| name == ".profile"));
        // What an older program began is found again.
        assert_eq!(names.part, format!("..profile.{}.part", id.short()));
    }

    #[test]
    fn names_fit_and_cannot_leave_the_folder() {
        let id = ContentId::from_bytes([1; 32]);
        for bad in ["", ".", "..", "a/b", "/etc/passwd", "a\0b"] {
            assert!(Names::new(bad, &id).is_err(), "{bad:?}");
        }
        let long = Names::new(&"ä".repeat(127), &id).unwrap();
        for name in [&long.part, &long.state, &long.state_new] {
            assert!(name.len() <= MAX_NAME_LEN, "{}", name.len());
        }
        for names in Names::all(&"ä".repeat(127), &id).unwrap() {
            assert!(names.state_new.len() <= MAX_NAME_LEN);
        }
        let names = Names::new("a.iso", &id).unwrap();
        assert_eq!(names.part, format!(".a.iso.{}.part", id.short()));
        let all = Names::all("a.iso", &id).unwrap();
        assert_eq!((all.len(), &all[0]), (MAX_SLOTS, &names));
        assert_eq!(all[7].state, format!(".a.iso.{}.7.state", id.short()));
        let first: Vec<_> = names.targets().take(2).collect();
        assert_eq!(first, ["a.iso", "a (1).iso"]);
    }
}
