//! Entries of a shared folder that are left out, and why.

use std::path::PathBuf;

use common::names::show;

/// Why an entry is left out of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    /// Symbolic links are not shared: what they point to may lie anywhere.
    Symlink,
    /// A socket, a pipe or a device.
    Special,
    /// Its name is not UTF-8, which all peers must be able to write.
    NotUtf8,
    /// No permission, or the disk failed.
    Unreadable,
    /// Its path is longer or deeper than others could store.
    TooDeep,
    /// A download of ours in progress.
    Partial,
    /// A state folder of this program: it holds keys and secrets.
    State,
}

/// Skipped entries that are named; the others are counted: all of it is one line.
const MAX_NAMED: usize = 3;

impl Skip {
    /// Why, behind the name of such an entry.
    fn why(self) -> &'static str {
        match self {
            Self::Symlink => "a symbolic link",
            Self::Special => "a socket, a pipe or a device",
            Self::NotUtf8 => "its name is not UTF-8",
            Self::Unreadable => "cannot be read",
            Self::TooDeep => "its path is too long",
            Self::Partial => "a download that is not finished",
            Self::State => "a state folder of this program, with its key",
        }
    }
}

/// What a scan left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// The first that are worth a warning (not links, devices or our own partial files).
    pub named: Vec<(PathBuf, Skip)>,
    /// Symbolic links.
    pub symlinks: u64,
    /// Sockets, pipes and devices.
    pub special: u64,
    /// All others worth a warning.
    pub warned: u64,
}

impl Skipped {
    pub(super) fn add(&mut self, path: PathBuf, why: Skip) {
        match why {
            Skip::Symlink => self.symlinks += 1,
            Skip::Special => self.special += 1,
            Skip::Partial => {}
            Skip::NotUtf8 | Skip::Unreadable | Skip::TooDeep | Skip::State => {
                self.warned += 1;
                if self.named.len() < MAX_NAMED {
                    self.named.push((path, why));
                }
            }
        }
    }

    /// What the user is to know of it, if anything: how many there are, and the first that he may not expect.
    pub(crate) fn words(&self) -> Option<String> {
        let count = |n: u64, one: &str, many: &str| match n {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {many}")),
        };
        let named = self.named.iter();
        let named =
            named.map(|(path, why)| format!("{} ({})", show(&path.to_string_lossy()), why.why()));
        let more = self.warned.saturating_sub(self.named.len() as u64);
        let mut parts: Vec<String> = named.collect();
        parts.extend(count(more, "more like that", "more like these"));
        parts.extend(count(self.symlinks, "symbolic link", "symbolic links"));
        parts.extend(count(self.special, "socket, pipe or device", "sockets, pipes or devices"));
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_named_or_counted_in_one_line() {
        let mut skipped = Skipped::default();
        skipped.add("/a/.x.abcdefgh.part".into(), Skip::Partial);
        assert_eq!(skipped.words(), None, "our own downloads are no news");
        skipped.add("/a/link".into(), Skip::Symlink);
        assert_eq!(skipped.words().unwrap(), "1 symbolic link");
        skipped.add("/a/pipe".into(), Skip::Special);
        for n in 0..5 {
            skipped.add(format!("/a/{n}\u{1b}[2J").into(), Skip::Unreadable);
        }
        let words = skipped.words().unwrap();
        assert!(words.starts_with("/a/0") && words.contains("(cannot be read), /a/1"), "{words}");
        let end = "2 more like these, 1 symbolic link, 1 socket, pipe or device";
        assert!(words.ends_with(end) && !words.contains('\u{1b}'), "{words}");
    }
}
