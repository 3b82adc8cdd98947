//! Puts flags, environment, file and defaults together.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use super::error::{Problem, SettingsError};
use super::file;
use super::hooks::exposed;
use super::item::Item;
use super::kind::Kind;
use super::table::{Binding, Layer, Table};

/// Says what is wrong with changed keys. Only the app knows its actions.
pub type KeyCheck = fn(&[Binding]) -> Vec<Problem>;

/// A reader of environment variables, so that tests need not set any.
type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// All settings in force.
///
/// # Errors
/// [`SettingsError`]: what, where, what to do.
pub fn table(flags: Layer, keys: KeyCheck) -> Result<Table, SettingsError> {
    match table_as_far(flags, keys)? {
        (table, None) => Ok(table),
        (_, Some(wrong)) => Err(wrong),
    }
}

/// The same without what is wrong in the configuration file, and what that is: for whatever needs hardly any
/// settings.
///
/// # Errors
/// [`SettingsError::Option`]: what was typed is still to make sense.
pub fn table_as_far(
    flags: Layer,
    keys: KeyCheck,
) -> Result<(Table, Option<SettingsError>), SettingsError> {
    let base = etcetera::choose_base_strategy().map_err(|_| {
        SettingsError::Option("no home folder: set HOME, or use --state and --downloads".into())
    })?;
    let home = base.home_dir();
    let state = base.state_dir().unwrap_or_else(|| base.data_dir()).join("shoal");
    let mut machine = Table {
        path: Some(path_in(&base.config_dir())),
        home: Some(home.to_owned()),
        ..Table::default()
    };
    machine.defaults.set(Item::State, state.into());
    machine.defaults.set(Item::Downloads, home.join("Downloads").into());
    machine.defaults.set(Item::Nick, host_name().into());
    let read = match &machine.path {
        Some(path) => {
            machine.exposed = exposed(path);
            file::read(path)
        }
        None => Ok(String::new()),
    };
    let (text, unread) = match read {
        Ok(text) => (text, None),
        Err(error) => (String::new(), Some(error)),
    };
    let env = |name: &str| std::env::var_os(name);
    let (table, wrong) = merge_as_far(machine, flags, &env, &text, keys)?;
    Ok((table, unread.or(wrong)))
}

/// What is wrong with a configuration file.
///
/// # Errors
/// If it cannot be read.
pub fn check(path: &Path, keys: KeyCheck) -> Result<Vec<Problem>, SettingsError> {
    // Here, unlike at start, it is an error that there is none.
    if let Err(source) = std::fs::metadata(path) {
        return Err(SettingsError::Unreadable { path: path.display().to_string(), source });
    }
    let mut file = file::parse(&file::read(path)?);
    let hooks = [Item::OnDone, Item::OnError];
    if hooks.iter().any(|item| file.values.get(*item).is_some())
        && let Some(why) = exposed(path)
    {
        let what = format!("on_done and on_error are not run from this file: {why}");
        file.problems.push(Problem { line: 1, what });
    }
    Ok(with_keys(file.problems, &file.keys, keys))
}

/// Where the configuration file is.
pub fn default_path() -> Option<PathBuf> {
    etcetera::choose_base_strategy().ok().map(|base| path_in(&base.config_dir()))
}

fn path_in(config: &Path) -> PathBuf {
    config.join("shoal").join("config.toml")
}

fn with_keys(mut problems: Vec<Problem>, bound: &[Binding], keys: KeyCheck) -> Vec<Problem> {
    problems.extend(keys(bound));
    problems.sort_by_key(|problem| problem.line);
    problems
}

/// All layers, without what is wrong in the file; and what that is.
fn merge_as_far(
    mut table: Table,
    flags: Layer,
    env: Env<'_>,
    text: &str,
    keys: KeyCheck,
) -> Result<(Table, Option<SettingsError>), SettingsError> {
    let file = file::parse(text);
    let unusable_keys = !keys(&file.keys).is_empty();
    let problems = with_keys(file.problems, &file.keys, keys);
    let wrong = (!problems.is_empty()).then(|| {
        let path = table.path.as_deref().unwrap_or(Path::new("config.toml")).display().to_string();
        SettingsError::File { path, problems }
    });
    table.file = file.values;
    table.themes = file.themes;
    table.keys = if unusable_keys { Vec::new() } else { file.keys };
    table.env = environment(env, &table)?;
    for item in Item::ALL {
        if let Some(value) = flags.get(*item) {
            let what = format!("--{}", option(*item));
            table.flags.set(*item, checked(*item, &what, value.to_owned(), &table)?);
        }
    }
    Ok((table, wrong))
}

fn environment(env: Env<'_>, table: &Table) -> Result<Layer, SettingsError> {
    let get = |name: &str| env(name).filter(|value| !value.is_empty());
    let is_true = |name: &str| get(name).is_some_and(|value| value != "0" && value != "false");
    let mut layer = Layer::default();
    // The general wishes first, so that our own variables win.
    if is_true("NO_MOTION") || is_true("ACCESSIBLE") {
        layer.set(Item::ReduceMotion, "true".into());
    }
    if is_true("SHOAL_NO_MOUSE") {
        layer.set(Item::Mouse, "false".into());
    }
    for item in Item::ALL {
        if let Some(value) = get(item.env()) {
            layer.set(*item, checked(*item, item.env(), value, table)?);
        }
    }
    Ok(layer)
}

fn checked(
    item: Item,
    what: &str,
    value: OsString,
    table: &Table,
) -> Result<OsString, SettingsError> {
    // A path need not be text.
    if matches!(item.kind(), Kind::Path) && !value.is_empty() {
        return Ok(value);
    }
    let Some(text) = value.to_str() else {
        return Err(SettingsError::Option(format!("{what}: not UTF-8")));
    };
    match item.kind().check(text, &table.themes) {
        Ok(text) => Ok(text.into()),
        Err(why) => Err(SettingsError::Option(format!("{what}: {why}"))),
    }
}

/// The name of an item's option.
fn option(item: Item) -> String {
    item.place().1.replace('_', "-")
}

fn host_name() -> String {
    let mut name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    while name.len() > common::limits::MAX_NICK {
        name.pop();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::table::Origin;
    use super::*;

    fn no_keys(_: &[Binding]) -> Vec<Problem> {
        Vec::new()
    }

    fn merged(
        flags: &[(Item, &str)],
        env: &[(&str, &str)],
        text: &str,
    ) -> Result<Table, SettingsError> {
        let mut layer = Layer::default();
        for (item, value) in flags {
            layer.set(*item, value.into());
        }
        let env =
            |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        match merge_as_far(Table::default(), layer, &env, text, no_keys)? {
            (table, None) => Ok(table),
            (_, Some(wrong)) => Err(wrong),
        }
    }

    #[test]
    fn h8_what_is_right_in_a_wrong_file_is_still_known() {
        let text = "state = \"/srv/shoal\"\nupp = 1\nnick = \"n\"\n";
        let env = |_: &str| None;
        let (table, wrong) =
            merge_as_far(Table::default(), Layer::default(), &env, text, no_keys).unwrap();
        assert_eq!((&*table.text(Item::State), &*table.text(Item::Nick)), ("/srv/shoal", "n"));
        assert!(wrong.unwrap().to_string().starts_with("config.toml:2: "));
    }

    #[test]
    fn every_layer_is_read_and_the_nearest_wins() {
        let text = "up = \"1M\"\ndown = \"2M\"\nnick = \"file\"\n[look]\nunits = \"si\"\n";
        let env = [("SHOAL_UP", "3M"), ("SHOAL_DOWN", "4M"), ("SHOAL_NICK", "")];
        let table = merged(&[(Item::Up, "5M")], &env, text).unwrap();
        let of = |item| (table.text(item).into_owned(), table.origin(item));
        assert_eq!(of(Item::Up), ("5M".to_owned(), Origin::Flag));
        assert_eq!(of(Item::Down), ("4M".to_owned(), Origin::Env));
        assert_eq!(of(Item::Nick), ("file".to_owned(), Origin::File), "an empty variable is none");
        assert_eq!(of(Item::Units), ("si".to_owned(), Origin::File));
        assert_eq!(of(Item::Active), ("5".to_owned(), Origin::Default));
    }

    #[test]
    fn wishes_of_the_environment_are_honoured() {
        let table = merged(&[], &[("NO_MOTION", "1"), ("SHOAL_NO_MOUSE", "1")], "").unwrap();
        assert!(table.is_on(Item::ReduceMotion) && !table.is_on(Item::Mouse));
        assert_eq!(table.origin(Item::ReduceMotion), Origin::Env);
        let table = merged(&[], &[("ACCESSIBLE", "1")], "").unwrap();
        assert!(table.is_on(Item::ReduceMotion));
        let table =
            merged(&[], &[("ACCESSIBLE", "0"), ("SHOAL_REDUCE_MOTION", "off")], "").unwrap();
        assert!(!table.is_on(Item::ReduceMotion));
    }

    #[test]
    fn what_is_wrong_says_where() {
        let why = merged(&[], &[("SHOAL_THEME", "lake")], "").unwrap_err().to_string();
        assert!(why.starts_with("SHOAL_THEME: \"lake\""), "{why}");
        let why = merged(&[(Item::KeepFree, "much")], &[], "").unwrap_err().to_string();
        assert!(why.starts_with("--keep-free: "), "{why}");
        let why = merged(&[], &[], "nick = \"a\"\nlisen = 1\nup = 1.5\n").unwrap_err().to_string();
        let lines: Vec<&str> = why.lines().collect();
        assert!(lines[0].starts_with("config.toml:2: ") && lines[1].starts_with("config.toml:3: "));
        // A theme of the file may be named by a flag.
        assert!(merged(&[(Item::Theme, "sea")], &[], "[themes.sea]\n").is_ok());
    }

    #[test]
    fn checking_a_file_wants_one() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("config.toml");
        assert!(check(&path, no_keys).unwrap_err().to_string().contains("config.toml"));
        std::fs::write(&path, "nick = \"a\"\nlisen = \"x\"\n").unwrap();
        let problems = check(&path, no_keys).unwrap();
        assert!(problems[0].line == 2 && problems[0].what.contains("lisen"), "{problems:?}");
    }
}
