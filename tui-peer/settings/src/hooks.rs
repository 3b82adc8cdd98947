//! Programs of the user's own: which run when, and whose word counts for them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use super::item::Item;
use super::program::parse_program;
use super::table::{Origin, Table};

/// Bits of a mode that let others write.
const OTHERS_WRITE: u32 = 0o022;

/// What runs when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// When a download is done: a program and its arguments.
    pub done: Option<Vec<String>>,
    /// When something failed.
    pub error: Option<Vec<String>>,
    /// How long each may run.
    pub limit: Duration,
    /// Why programs that the file names are not run, if so.
    pub refused: Option<String>,
}

/// Why programs that this file names should not be run: others could have named them. As `ssh` judges its own
/// configuration.
pub(super) fn exposed(file: &Path) -> Option<String> {
    let me = rustix::process::geteuid().as_raw();
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    [Some(file), dir].into_iter().flatten().find_map(|path| {
        // Links are followed: what counts is where it is.
        let meta = fs::metadata(path).ok()?;
        let shown = path.display();
        if meta.uid() != me && meta.uid() != 0 {
            Some(format!("{shown} belongs to somebody else (user {})", meta.uid()))
        } else if meta.mode() & OTHERS_WRITE != 0 {
            Some(format!("others can write to {shown}: chmod go-w {shown}"))
        } else {
            None
        }
    })
}

impl Table {
    /// What runs when. What stands in a file that others can write is not run.
    pub fn hooks(&self) -> Hooks {
        let hooks = [Item::OnDone, Item::OnError];
        let named = hooks
            .iter()
            .any(|item| self.origin(*item) == Origin::File && self.program(*item).is_some());
        let refused = self.exposed.clone().filter(|_| named);
        let of = |item: Item| {
            let fine = refused.is_none() || self.origin(item) != Origin::File;
            self.program(item).filter(|_| fine)
        };
        let seconds = self.text(Item::HookTimeout).parse().unwrap_or(DEFAULT_LIMIT_S);
        Hooks {
            done: of(Item::OnDone),
            error: of(Item::OnError),
            limit: Duration::from_secs(seconds),
            refused,
        }
    }

    /// A program and its arguments, if there is one.
    fn program(&self, item: Item) -> Option<Vec<String>> {
        // Checked when it was read.
        let mut words = parse_program(&self.text(item)).unwrap_or_default();
        let program = words.first_mut()?;
        if let Some(home) = self.expand(program.as_ref()).to_str() {
            *program = home.to_owned();
        }
        Some(words)
    }
}

/// Ten minutes: a copy to another disk ends, a program that waits for a person does not.
pub(super) const DEFAULT_LIMIT_S: u64 = 600;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn c5_a_file_that_others_can_write_names_no_hooks() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("shoal");
        fs::create_dir(&own).unwrap();
        let file = own.join("config.toml");
        fs::write(&file, "").unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&own, 0o755);
        for (bits, fine) in [(0o600, true), (0o644, true), (0o664, false), (0o646, false)] {
            mode(&file, bits);
            assert_eq!(exposed(&file).is_none(), fine, "{bits:o}");
        }
        mode(&file, 0o644);
        mode(&own, 0o775);
        assert!(exposed(&file).unwrap().contains("chmod go-w"));
        mode(&own, 0o700);
        assert_eq!(exposed(&file), None);
        let mut table = Table::default();
        table.set(Item::OnDone, "a").unwrap();
        assert_eq!(table.hooks().done.unwrap(), ["a"]);
        table.exposed = Some("why".to_owned());
        let hooks = table.hooks();
        assert_eq!((hooks.done, hooks.refused.as_deref()), (None, Some("why")));
        // What the command line says is the user's own.
        table.flags.set(Item::OnDone, "b".into());
        let hooks = table.hooks();
        assert_eq!((hooks.done.unwrap(), hooks.refused), (vec!["b".to_owned()], None));
    }
}
