//! The layers of settings and what is in force: flag, environment, file, default, in this order.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::item::Item;
use super::themes::OwnTheme;

/// Keys of an action, as the file gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Name of the action.
    pub action: String,
    pub keys: Vec<String>,
    /// Line in the file, from 1.
    pub line: usize,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Flag,
    Env,
    File,
    /// Nobody said anything.
    Default,
}

impl Origin {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Env => "environment",
            Self::File => "config.toml",
            Self::Default => "default",
        }
    }

    /// Whether the file cannot change it.
    pub fn is_locked(self) -> bool {
        matches!(self, Self::Flag | Self::Env)
    }
}

/// Values from one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer(Vec<Option<OsString>>);

impl Default for Layer {
    fn default() -> Self {
        Self(vec![None; Item::COUNT])
    }
}

impl Layer {
    /// The value of an item, if this place has one.
    pub fn get(&self, item: Item) -> Option<&OsStr> {
        self.0.get(item as usize)?.as_deref()
    }

    /// Gives an item a value.
    pub fn set(&mut self, item: Item, value: OsString) {
        if let Some(own) = self.0.get_mut(item as usize) {
            *own = Some(value);
        }
    }

    /// Gives an item a value if there is one.
    pub fn set_if(&mut self, item: Item, value: Option<impl Into<OsString>>) {
        if let Some(value) = value {
            self.set(item, value.into());
        }
    }

    fn clear(&mut self, item: Item) {
        if let Some(own) = self.0.get_mut(item as usize) {
            *own = None;
        }
    }
}

/// All settings with where they come from.
#[derive(Debug, Clone)]
pub struct Table {
    /// The configuration file, whether it exists or not; `None` if nothing is to be remembered.
    pub path: Option<PathBuf>,
    /// Themes of the user's own.
    pub themes: Vec<OwnTheme>,
    /// Changed keys.
    pub keys: Vec<Binding>,
    /// Why programs named in the file are not to be run, if others could have named them.
    pub(super) exposed: Option<String>,
    pub(super) home: Option<PathBuf>,
    pub(super) flags: Layer,
    pub(super) env: Layer,
    pub(super) file: Layer,
    pub(super) defaults: Layer,
}

impl Default for Table {
    /// Defaults only, of no machine.
    fn default() -> Self {
        let mut defaults = Layer::default();
        for item in Item::ALL {
            defaults.set(*item, item.default_text().into());
        }
        Self {
            path: None,
            themes: Vec::new(),
            keys: Vec::new(),
            exposed: None,
            home: None,
            flags: Layer::default(),
            env: Layer::default(),
            file: Layer::default(),
            defaults,
        }
    }
}

impl Table {
    /// What holds for an item if nobody says anything, on this machine.
    pub fn set_default(&mut self, item: Item, text: &str) {
        self.defaults.set(item, text.into());
    }

    /// For what leaves nothing behind: nothing is saved, and what is kept for now lies here.
    #[must_use]
    pub fn for_now(mut self, state: PathBuf, downloads: PathBuf, nick: &str) -> Self {
        self.path = None;
        for (item, value) in [
            (Item::State, state.into()),
            (Item::Downloads, downloads.into()),
            (Item::Nick, nick.into()),
        ] {
            self.flags.clear(item);
            self.env.clear(item);
            self.file.clear(item);
            self.defaults.set(item, value);
        }
        self
    }

    /// What the command line and the environment say.
    pub fn set_layers(&mut self, flags: Layer, env: Layer) {
        (self.flags, self.env) = (flags, env);
    }

    /// The value in force, and where it comes from.
    pub fn get(&self, item: Item) -> (&OsStr, Origin) {
        [(&self.flags, Origin::Flag), (&self.env, Origin::Env), (&self.file, Origin::File)]
            .into_iter()
            .find_map(|(layer, origin)| Some((layer.get(item)?, origin)))
            .unwrap_or_else(|| (self.defaults.get(item).unwrap_or_default(), Origin::Default))
    }

    /// The value in force as text.
    pub fn text(&self, item: Item) -> Cow<'_, str> {
        self.get(item).0.to_string_lossy()
    }

    /// The value in force as it may be shown: without the secret of a network.
    pub fn shown(&self, item: Item) -> String {
        let text = self.text(item);
        match text.parse::<common::join::JoinString>() {
            Ok(join) if join.secret().is_some() => {
                format!("{} (with its secret)", join.with_secret(None))
            }
            _ => text.into_owned(),
        }
    }

    /// Where the value in force comes from.
    pub fn origin(&self, item: Item) -> Origin {
        self.get(item).1
    }

    /// What holds if nobody says anything.
    pub fn default_text(&self, item: Item) -> Cow<'_, str> {
        self.defaults.get(item).unwrap_or_default().to_string_lossy()
    }

    /// The value in force as a path, `~` being the home folder; `None` if it is empty.
    pub fn path_of(&self, item: Item) -> Option<PathBuf> {
        let value = self.get(item).0;
        (!value.is_empty()).then(|| self.expand(value))
    }

    pub(super) fn expand(&self, value: &OsStr) -> PathBuf {
        match (Path::new(value).strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) if rest.as_os_str().is_empty() => home.clone(),
            (Ok(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(value),
        }
    }

    /// Changes the file's value of an item, in memory only.
    ///
    /// # Errors
    /// What is wrong with the value; the old one stays.
    pub fn set(&mut self, item: Item, text: &str) -> Result<String, String> {
        let text = item.kind().check(text, &self.themes)?;
        self.file.set(item, text.clone().into());
        Ok(text)
    }

    /// Takes the file's value of an item away, in memory only.
    pub fn reset(&mut self, item: Item) {
        self.file.clear(item);
    }

    /// Whether the file says something about an item.
    pub fn is_set(&self, item: Item) -> bool {
        self.file.get(item).is_some()
    }

    /// Whether the value in force is the file's.
    pub fn is_from_file(&self, item: Item) -> bool {
        self.origin(item) == Origin::File
    }

    /// Changes the keys of an action; `None` is the default ones.
    pub fn set_keys(&mut self, action: &str, keys: Option<Vec<String>>) {
        self.keys.retain(|binding| binding.action != action);
        if let Some(keys) = keys {
            self.keys.push(Binding { action: action.to_owned(), keys, line: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_goes_before_environment_before_file_before_default() {
        let mut table = Table::default();
        let now = |table: &Table| (table.text(Item::Units).into_owned(), table.origin(Item::Units));
        assert_eq!(now(&table), ("iec".to_owned(), Origin::Default));
        assert_eq!(table.set(Item::Units, "si").as_deref(), Ok("si"));
        assert_eq!(now(&table), ("si".to_owned(), Origin::File));
        assert!(table.set(Item::Units, "stones").is_err());
        assert_eq!(now(&table), ("si".to_owned(), Origin::File), "the old value stays");
        table.env.set(Item::Units, "bits".into());
        assert_eq!(now(&table), ("bits".to_owned(), Origin::Env));
        table.flags.set(Item::Units, "iec".into());
        assert_eq!(now(&table), ("iec".to_owned(), Origin::Flag));
        table.flags = Layer::default();
        table.env = Layer::default();
        table.reset(Item::Units);
        assert_eq!(now(&table), ("iec".to_owned(), Origin::Default));
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut table = Table::default();
        let key = common::id::PeerId::from_bytes([7; 32]);
        let secret = "a".repeat(52);
        let join = format!("shoal://{key}@host:1?secret={secret}");
        table.set(Item::Tracker, &join).unwrap();
        let shown = table.shown(Item::Tracker);
        assert!(shown.contains("host:1 (with its secret)") && !shown.contains(&secret), "{shown}");
    }

    #[test]
    fn the_home_folder_is_written_as_a_tilde() {
        let mut table = Table { home: Some("/home/ada".into()), ..Table::default() };
        for (text, path) in
            [("~", "/home/ada"), ("~/in", "/home/ada/in"), ("/x", "/x"), ("~ada", "~ada")]
        {
            table.set(Item::Downloads, text).unwrap();
            assert_eq!(table.path_of(Item::Downloads), Some(PathBuf::from(path)));
        }
        assert_eq!(table.path_of(Item::SecretFile), None);
    }
}
