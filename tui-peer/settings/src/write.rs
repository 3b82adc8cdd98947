//! Changes one entry of the configuration file and nothing else: comments and order stay. The file is
//! replaced in one step, so that a crash leaves the old or the new one, never half of it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, Item as Toml, Table, TableLike, Value};

use super::file;
use super::item::Item;
use super::kind::Kind;
use super::program::{parse_program, program_value};

/// A change of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A value, or its removal.
    Item(Item, Option<String>),
    /// The keys of an action, or their removal.
    Keys(String, Option<Vec<String>>),
}

/// Why the file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It is no TOML: it would be lost if it were written.
    #[error(
        "{path}: line {line} makes no sense, so the file is left alone; see tui-peer config check"
    )]
    Damaged {
        path: String,
        /// Line, from 1.
        line: usize,
    },
    /// It cannot be read or written.
    #[error("cannot save to {path}: {source}; the change holds until you quit")]
    Io {
        /// The file or folder.
        path: String,
        source: io::Error,
    },
}

/// Changes the file, which need not exist.
///
/// # Errors
/// [`WriteError`]; the file is as it was.
pub fn write(path: &Path, change: &Change) -> Result<(), WriteError> {
    let failed = |source| WriteError::Io { path: path.display().to_string(), source };
    let target = follow(path).map_err(failed)?;
    let old = file::read(&target).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let new = edit(&old, change)
        .map_err(|line| WriteError::Damaged { path: path.display().to_string(), line })?;
    if new == old {
        return Ok(());
    }
    replace(&target, &new).map_err(failed)
}

/// The text with a change; `Err` is the line that is no TOML.
fn edit(text: &str, change: &Change) -> Result<String, usize> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let at = error.span().map_or(0, |span| span.start);
        text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    })?;
    let (section, key, value) = match change {
        Change::Item(item, value) => {
            let (section, key) = item.place();
            (section, key, value.as_deref().map(|text| item_value(*item, text)))
        }
        Change::Keys(action, keys) => {
            (Some("keys"), action.as_str(), keys.as_deref().map(key_value))
        }
    };
    let root = document.as_table_mut();
    match (section, value) {
        (Some(section), Some(value)) => {
            let place = root.entry(section).or_insert_with(|| Toml::Table(Table::new()));
            match place.as_table_like_mut() {
                Some(table) => put(table, key, value),
                // Something else has the name: the reader has complained about it.
                None => return Err(1),
            }
        }
        (None, Some(value)) => put(root, key, value),
        (Some(section), None) => {
            if let Some(table) = root.get_mut(section).and_then(Toml::as_table_like_mut) {
                take(table, key);
            }
        }
        (None, None) => take(root, key),
    }
    Ok(document.to_string())
}

fn item_value(item: Item, text: &str) -> Value {
    match item.kind() {
        Kind::Toggle => Value::from(text == "true"),
        Kind::Program if text.starts_with('[') => {
            parse_program(text).map_or_else(|_| Value::from(text), |words| program_value(&words))
        }
        Kind::Number(..) => text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
        _ => Value::from(text),
    }
}

fn key_value(keys: &[String]) -> Value {
    match keys {
        [key] => Value::from(key.as_str()),
        keys => Value::Array(keys.iter().map(String::as_str).collect::<Array>()),
    }
}

/// The key as the file spells it: `secret-file` or `secret_file`.
fn spelt(table: &dyn TableLike, key: &str) -> String {
    let dashed = key.replace('_', "-");
    if table.contains_key(key) || !table.contains_key(&dashed) { key.to_owned() } else { dashed }
}

/// Puts a value in place of the old one, with the spaces and comments around that.
fn put(table: &mut dyn TableLike, key: &str, mut value: Value) {
    let key = spelt(table, key);
    if let Some(old) = table.get_mut(&key).and_then(Toml::as_value_mut) {
        *value.decor_mut() = old.decor().clone();
        *old = value;
    } else {
        table.insert(&key, Toml::Value(value));
    }
}

/// Takes an entry away; the comment above it moves to the entry below, or else to the one above.
fn take(table: &mut dyn TableLike, key: &str) {
    let key = spelt(table, key);
    let names: Vec<String> = table.iter().map(|(name, _)| name.to_owned()).collect();
    let Some(at) = names.iter().position(|name| *name == key) else { return };
    let above = table
        .key(&key)
        .and_then(|key| key.leaf_decor().prefix())
        .and_then(|prefix| prefix.as_str())
        .filter(|prefix| prefix.contains('#'))
        .map(str::to_owned);
    table.remove(&key);
    let Some(above) = above else { return };
    if let Some(mut next) = names.get(at + 1).and_then(|next| table.key_mut(next)) {
        let own =
            next.leaf_decor().prefix().and_then(|p| p.as_str()).unwrap_or_default().to_owned();
        next.leaf_decor_mut().set_prefix(format!("{above}{own}"));
    } else if let Some(value) = at
        .checked_sub(1)
        .and_then(|at| names.get(at))
        .and_then(|last| table.get_mut(last))
        .and_then(Toml::as_value_mut)
    {
        let own = value.decor().suffix().and_then(|s| s.as_str()).unwrap_or_default().to_owned();
        value.decor_mut().set_suffix(format!("{own}\n{}", above.trim_end()));
    }
}

/// Where a symbolic link leads, so that it stays one (people keep such files elsewhere).
fn follow(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(target) => Ok(target),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            // A link to a file that is not there yet.
            Ok(to) => Ok(path.parent().map_or_else(|| to.clone(), |dir| dir.join(&to))),
            Err(_) => Ok(path.to_owned()),
        },
        Err(error) => Err(error),
    }
}

/// Writes beside the file and renames.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let old = fs::metadata(path).ok();
    // The folder may be writable where the file is not: then it is meant to stay.
    if old.as_ref().is_some_and(|meta| meta.permissions().readonly()) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only"));
    }
    let temp = dir.join(format!(".config.toml.{}", std::process::id()));
    let written = (|| {
        // Nobody else may read it meanwhile, nor a new file later: a join string in it may hold a secret.
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temp)?;
        if let Some(meta) = &old {
            file.set_permissions(meta.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temp, path)
    })();
    if written.is_err() {
        // What cannot be written may not be removable either.
        let _ = fs::remove_file(&temp);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn set(item: Item, text: &str) -> Change {
        Change::Item(item, Some(text.to_owned()))
    }

    const FILE: &str = "# My settings\n\n# who I am\nnick = \"ada\"  # short\nup = \"1M\"\n\n\
                        [look]\n# at night\ntheme = \"dark\"   # or light\nmouse = true\n";

    #[test]
    fn only_the_changed_value_is_touched() {
        assert_eq!(
            edit(FILE, &set(Item::Theme, "light")).unwrap(),
            FILE.replace("\"dark\"", "\"light\"")
        );
        assert_eq!(
            edit(FILE, &set(Item::Mouse, "false")).unwrap(),
            FILE.replace("mouse = true", "mouse = false")
        );
        assert_eq!(edit(FILE, &set(Item::Nick, "ada")).unwrap(), FILE);
        let new = edit(FILE, &set(Item::Active, "3")).unwrap();
        assert_eq!(new, FILE.replace("up = \"1M\"\n", "up = \"1M\"\nactive = 3\n"));
        let keys = Change::Keys("quit".to_owned(), Some(vec!["Q".to_owned(), "ctrl-q".to_owned()]));
        assert_eq!(
            edit(FILE, &keys).unwrap(),
            format!("{FILE}\n[keys]\nquit = [\"Q\", \"ctrl-q\"]\n")
        );
    }

    #[test]
    fn resetting_keeps_comments() {
        let new = edit(FILE, &Change::Item(Item::Nick, None)).unwrap();
        assert_eq!(new, FILE.replace("nick = \"ada\"  # short\n", ""));
        let new = edit(FILE, &Change::Item(Item::Theme, None)).unwrap();
        assert!(new.contains("# at night\nmouse = true"), "{new}");
        let new = edit(
            "[look]\nmouse = true\n# at night\ntheme = \"dark\"\n",
            &Change::Item(Item::Theme, None),
        );
        assert_eq!(new.unwrap(), "[look]\nmouse = true\n# at night\n");
        assert_eq!(edit("", &Change::Item(Item::Theme, None)).unwrap(), "");
    }

    #[test]
    fn the_spelling_of_the_file_stays() {
        let new = edit("secret-file = \"/a\"\n", &set(Item::SecretFile, "/b")).unwrap();
        assert_eq!(new, "secret-file = \"/b\"\n");
        let new = edit("look = { theme = \"dark\" }\n", &set(Item::Theme, "mono")).unwrap();
        assert_eq!(new, "look = { theme = \"mono\" }\n");
        let new = edit("look.theme = \"dark\"\n", &set(Item::Units, "si")).unwrap();
        assert_eq!(new, "look.theme = \"dark\"\nlook.units = \"si\"\n");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for item in Item::ALL {
            let text = match item.kind() {
                Kind::Path => "/some \"folder\"\\",
                Kind::Join => "@/a/file",
                Kind::Nick => "ada",
                _ => item.default_text(),
            };
            let file = file::parse(&edit("", &set(*item, text)).unwrap());
            assert!(file.problems.is_empty(), "{:?}", file.problems);
            assert_eq!(file.values.get(*item).unwrap(), text);
        }
    }

    #[test]
    fn the_file_is_replaced_with_its_mode_and_through_links() {
        let temp = tempfile::tempdir().unwrap();
        let (real, link) = (temp.path().join("real.toml"), temp.path().join("config.toml"));
        fs::write(&real, FILE).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real.toml", &link).unwrap();
        write(&link, &set(Item::Theme, "mono")).unwrap();
        assert!(fs::read_to_string(&real).unwrap().contains("theme = \"mono\""));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2, "nothing is left behind");
    }

    #[test]
    fn folders_are_made_and_failures_name_the_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b/config.toml");
        write(&path, &set(Item::Up, "2M")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "up = \"2M\"\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "up = \n").unwrap();
        let why = write(&path, &set(Item::Up, "3M")).unwrap_err().to_string();
        assert!(why.contains("line 1") && why.contains("left alone"), "{why}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "up = \n");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        let why = write(&path, &set(Item::Up, "3M")).unwrap_err().to_string();
        assert!(why.contains("read-only") && why.contains("until you quit"), "{why}");
        let blocked = temp.path().join("a/b/config.toml/x/config.toml");
        let why = write(&blocked, &set(Item::Up, "3M")).unwrap_err().to_string();
        assert!(why.contains("cannot save to"), "{why}");
    }
}
