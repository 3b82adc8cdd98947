//! Reads the configuration file: every wrong entry is reported with its line, not only the first.

use std::path::Path;

use toml_edit::{Document, Item as Toml, TableLike, Value};

use super::error::{Problem, SettingsError};
use super::item::Item;
use super::kind::{Kind, nearest};
use super::program::{program_text, words};
use super::table::{Binding, Layer};
use super::themes::{Base, OwnTheme, Paint, Role};

/// Largest file that is read; settings by hand are a few kilobytes.
pub(super) const MAX_FILE: u64 = 1 << 20;
/// Problems listed of one file.
const MAX_PROBLEMS: usize = 100;
/// Names that a theme of the user's own cannot have.
const TAKEN: [&str; 7] =
    ["auto", "auto-ssh", "dark", "light", "high-contrast", "mono", "monochrome"];

/// What a configuration file says.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) values: Layer,
    pub(super) themes: Vec<OwnTheme>,
    pub(super) keys: Vec<Binding>,
    pub(super) problems: Vec<Problem>,
}

/// The text of the file; empty if there is none.
pub(super) fn read(path: &Path) -> Result<String, SettingsError> {
    let wrong = |source| SettingsError::Unreadable { path: path.display().to_string(), source };
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > MAX_FILE => {
            Err(wrong(std::io::Error::other("larger than 1 MiB: is it the right file?")))
        }
        Ok(_) => std::fs::read_to_string(path).map_err(wrong),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(wrong(error)),
    }
}

/// Makes sense of the text of a file.
pub(super) fn parse(text: &str) -> File {
    let mut reader = Reader { text, file: File::default() };
    match Document::parse(text) {
        Ok(document) => reader.document(document.as_table()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            reader.problem(at, error.message().trim().replace('\n', ", "));
        }
    }
    let mut file = reader.file;
    file.problems.sort_by_key(|problem| problem.line);
    file.problems.truncate(MAX_PROBLEMS);
    file
}

struct Reader<'a> {
    text: &'a str,
    file: File,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    fn problem(&mut self, at: usize, what: impl Into<String>) {
        let line = self.line(at);
        self.file.problems.push(Problem { line, what: what.into() });
    }

    fn document(&mut self, root: &dyn TableLike) {
        // Themes first: look.theme may name one of them.
        if let Some((at, item)) = entry(root, "themes") {
            match item.as_table_like() {
                Some(themes) => self.themes(themes),
                None => self.problem(at, "themes is a section: write [themes.NAME]"),
            }
        }
        for (key, _) in root.iter() {
            let Some((at, item)) = entry(root, key) else { continue };
            match key {
                "themes" => {}
                "keys" => match item.as_table_like() {
                    Some(keys) => self.keys(keys),
                    None => self.problem(at, "keys is a section: write [keys]"),
                },
                "look" | "notify" => match item.as_table_like() {
                    Some(section) => self.section(Some(key), section),
                    None => self.problem(at, format!("{key} is a section: write [{key}]")),
                },
                _ => self.value(None, key, at, item),
            }
        }
    }

    fn section(&mut self, name: Option<&str>, section: &dyn TableLike) {
        for (key, _) in section.iter() {
            if let Some((at, item)) = entry(section, key) {
                self.value(name, key, at, item);
            }
        }
    }

    fn value(&mut self, section: Option<&str>, key: &str, at: usize, toml: &Toml) {
        let Some(item) = Item::at(section, key) else {
            let what = unknown(section, key, toml.as_table_like().is_some());
            return self.problem(at, what);
        };
        let name = item.key();
        let at = toml.span().map_or(at, |span| span.start);
        let text = match (item.kind(), toml.as_value()) {
            (Kind::Toggle, Some(Value::Boolean(on))) => on.value().to_string(),
            (Kind::Toggle, _) => {
                return self.problem(at, format!("{name}: write true or false, without quotes"));
            }
            (
                Kind::Number(..) | Kind::Rate | Kind::Size | Kind::Choice(_),
                Some(Value::Integer(n)),
            ) => n.value().to_string(),
            (Kind::Program, Some(Value::Array(list))) => match words(list) {
                Some(words) => program_text(&words),
                None => {
                    return self.problem(at, format!("{name}: write [\"program\", \"argument\"]"));
                }
            },
            (_, Some(Value::String(text))) => text.value().clone(),
            _ => return self.problem(at, format!("{name}: write the value in quotes")),
        };
        match item.kind().check(&text, &self.file.themes) {
            Ok(text) => self.file.values.set(item, text.into()),
            Err(why) => self.problem(at, format!("{name}: {why}")),
        }
    }

    fn keys(&mut self, keys: &dyn TableLike) {
        for (action, _) in keys.iter() {
            let Some((at, item)) = entry(keys, action) else { continue };
            let bound = match item.as_value() {
                Some(Value::String(key)) => Some(vec![key.value().clone()]),
                Some(Value::Array(list)) => {
                    list.iter().map(|key| key.as_str().map(str::to_owned)).collect()
                }
                _ => None,
            };
            match bound {
                Some(keys) => {
                    let line = self.line(at);
                    self.file.keys.push(Binding { action: action.to_owned(), keys, line });
                }
                None => {
                    self.problem(at, format!("keys.{action}: write \"key\" or [\"key\", \"key\"]"));
                }
            }
        }
    }

    fn themes(&mut self, themes: &dyn TableLike) {
        for (name, _) in themes.iter() {
            let Some((at, item)) = entry(themes, name) else { continue };
            if TAKEN.contains(&name) {
                self.problem(at, format!("themes.{name}: that name is taken; choose another"));
                continue;
            }
            match item.as_table_like() {
                Some(table) => self.theme(name, table),
                None => {
                    self.problem(at, format!("themes.{name} is a section: write [themes.{name}]"))
                }
            }
        }
    }

    fn theme(&mut self, name: &str, table: &dyn TableLike) {
        let mut theme = OwnTheme::new(name);
        for (key, _) in table.iter() {
            let Some((at, item)) = entry(table, key) else { continue };
            let place = format!("themes.{name}.{key}");
            let text = match item.as_value() {
                Some(Value::String(text)) => text.value().clone(),
                Some(Value::Integer(n)) => n.value().to_string(),
                _ => {
                    self.problem(at, format!("{place}: write \"#rrggbb\" or a number, 0 to 255"));
                    continue;
                }
            };
            if key == "base" {
                match Base::parse(&text) {
                    Some(base) => theme.base = base,
                    None => self
                        .problem(at, format!("{place}: {text:?} — use dark, light, high-contrast")),
                }
                continue;
            }
            let wanted = key.replace('-', "_");
            let Some(role) = Role::ALL.into_iter().find(|role| role.name() == wanted) else {
                let names: Vec<&str> = Role::ALL.into_iter().map(Role::name).collect();
                self.problem(
                    at,
                    format!("{place}: no such colour; there are base, {}", names.join(", ")),
                );
                continue;
            };
            match Paint::parse(&text) {
                Ok(paint) => {
                    if let Some(own) = theme.paints.get_mut(role as usize) {
                        *own = Some(paint);
                    }
                }
                Err(why) => self.problem(at, format!("{place}: {why}")),
            }
        }
        self.file.themes.push(theme);
    }
}

/// Where an entry is in the text, and what it holds.
fn entry<'a>(table: &'a dyn TableLike, key: &str) -> Option<(usize, &'a Toml)> {
    let (key, item) = table.get_key_value(key)?;
    let at = key.span().or_else(|| item.span()).map_or(0, |span| span.start);
    Some((at, item))
}

/// What to say of a setting that does not exist.
fn unknown(section: Option<&str>, key: &str, is_section: bool) -> String {
    let full = |section: Option<&str>| match section {
        Some(section) => format!("{section}.{key}"),
        None => key.to_owned(),
    };
    if is_section {
        return format!(
            "[{key}] is no section; there are [look], [keys], [notify] and [themes.NAME]"
        );
    }
    // The right name in the wrong section.
    let name = key.replace('-', "_");
    if let Some(item) = Item::ALL.iter().find(|item| item.place().1 == name) {
        let place = match item.place().0 {
            Some(section) => format!("into section [{section}]"),
            None => "to the top of the file, before any [section]".to_owned(),
        };
        return format!("{key} belongs {place}");
    }
    let words =
        Item::ALL.iter().filter(|item| item.place().0 == section).map(|item| item.place().1);
    match nearest(&name, words) {
        Some(word) => format!("{} is no setting; did you mean {word}?", full(section)),
        None => format!("{} is no setting; tui-peer config lists them", full(section)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<(usize, String)> {
        parse(text).problems.into_iter().map(|p| (p.line, p.what)).collect()
    }

    #[test]
    fn every_wrong_entry_is_reported_with_its_line() {
        let text = "nick = \"a\"\nlisen = \"x\"\nup = \"fast\"\n\n[look]\nthem = \"dark\"\nmouse = \"no\"\n\
                    theme = \"lake\"\nnick = \"b\"\n[keys]\nquit = 7\n[themes.sea]\nhave = \"blue\"\n\
                    hve = 3\nbase = \"grey\"\n[lok]\na = 1\n[notify]\npear = true\n";
        let found = problems(text);
        let expected = [
            (2, "did you mean listen"),
            (3, "up: \"fast\" is not a rate"),
            (6, "look.them is no setting; did you mean theme"),
            (7, "look.mouse: write true or false"),
            (8, "high-contrast, mono, sea"),
            (9, "nick belongs to the top"),
            (11, "keys.quit: write \"key\""),
            (13, "#rrggbb"),
            (14, "no such colour"),
            (15, "use dark, light, high-contrast"),
            (16, "[lok] is no section"),
            (19, "did you mean peer"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for ((line, what), (at, part)) in found.iter().zip(expected) {
            assert!(*line == at && what.contains(part), "{line}: {what} / {at}: {part}");
        }
    }

    #[test]
    fn what_is_not_toml_is_reported_with_its_line() {
        let found = problems("nick = \"a\"\nup = = 3\n");
        assert_eq!((found.len(), found[0].0), (1, 2), "{found:?}");
        assert_eq!(problems("nick = \"a\"\nnick = \"b\"\n")[0].0, 2);
    }

    #[test]
    fn old_files_stay_valid() {
        let file = parse(
            "tracker = \"@/etc/shoal\"\nsecret-file = \"/s\"\nlisten = \"[::]:0\"\ndownloads = \"~/d\"\n\
             state = \"/x\"\nnick = \"n\"\nup = \"1M\"\ndown = \"none\"\n",
        );
        assert!(file.problems.is_empty(), "{:?}", file.problems);
        assert_eq!(file.values.get(Item::SecretFile).unwrap(), "/s");
        assert_eq!(file.values.get(Item::Down).unwrap(), "none");
    }

    #[test]
    fn sections_may_be_written_in_any_way() {
        let file =
            parse("look.theme = \"mono\"\nnotify = { peer = true }\nup = 500\nlook.color = 16\n");
        assert!(file.problems.is_empty(), "{:?}", file.problems);
        assert_eq!(file.values.get(Item::Theme).unwrap(), "mono");
        assert_eq!(file.values.get(Item::NotifyPeer).unwrap(), "true");
        assert_eq!(file.values.get(Item::Color).unwrap(), "16");
    }

    #[test]
    fn themes_and_keys_are_read() {
        let file = parse(
            "[look]\ntheme = \"sea\"\n[themes.sea]\nbase = \"light\"\nhave = \"#00f\"\nin-flight = 3\n\
             [keys]\nquit = [\"Q\", \"ctrl-q\"]\nshare = \"s\"\n",
        );
        assert!(file.problems.is_empty(), "{:?}", file.problems);
        let sea = &file.themes[0];
        assert_eq!((sea.name.as_str(), sea.base), ("sea", Base::Light));
        assert_eq!(sea.paints[Role::Have as usize], Some(Paint::Rgb(0, 0, 255)));
        assert_eq!(sea.paints[Role::Flight as usize], Some(Paint::Index(3)));
        assert_eq!(file.keys[0].keys, ["Q", "ctrl-q"]);
        assert_eq!((file.keys[1].action.as_str(), file.keys[1].line), ("share", 9));
        assert_eq!(problems("[themes.mono]\n").len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "[a-z\\[\\]=\"{}., \n#0-9]{0,120}") {
            let file = parse(&text);
            let lines = text.matches('\n').count() + 1;
            assert!(file.problems.iter().all(|p| p.line >= 1 && p.line <= lines));
        }
    }
}
