//! Keys and what they do. The help screen, the footer and the command palette are made from this
//! table, so they cannot lie.

mod hint;
mod key;

use settings::{Binding, Problem, nearest};

use super::action::{Action, Where};

pub use key::{Key, Sequence, cancels, ctrl, is_interrupt, show, write};

/// What a key press means at this point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This.
    Action(Action),
    /// It begins a sequence.
    Prefix,
    /// Nothing.
    Nothing,
}

/// Why a binding is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeymapError {
    /// No such key.
    #[error("{0:?} is not a key; examples: d, D, ctrl-d, f5, space, g g")]
    Key(String),
    /// No such action.
    #[error("{name:?} is not an action{}", meant.map_or(String::new(), |meant| format!("; did you mean {meant}?")))]
    Action {
        /// As it was written.
        name: String,
        /// What was probably meant.
        meant: Option<&'static str>,
    },
    /// A key that means something before any action is looked for.
    #[error("{keys:?} cannot be bound: {why}")]
    Taken {
        /// The key.
        keys: String,
        /// What it is for.
        why: &'static str,
    },
    /// Two actions on one key.
    #[error("{keys} is bound to both {first} and {second}")]
    Conflict {
        /// The key.
        keys: String,
        /// One action.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
}

/// Which keys do what.
#[derive(Debug, Clone)]
pub struct Keymap {
    bindings: Vec<(Sequence, Action)>,
}

fn parse_sequence(text: &str) -> Result<Sequence, KeymapError> {
    let keys: Option<Sequence> = text.split_whitespace().map(Key::parse).collect();
    keys.filter(|keys| !keys.is_empty() && keys.len() <= 2)
        .ok_or_else(|| KeymapError::Key(text.to_owned()))
}

/// Keys that cannot be given to an action, and why.
fn taken(sequence: &[Key], action: Action) -> Option<&'static str> {
    let first = *sequence.first()?;
    if first.digit().is_some_and(|digit| digit >= 6) {
        return Some("6 to 9 begin a count");
    }
    let is = |name: &str| Key::parse(name) == Some(first);
    if is("ctrl-c") && action != Action::Interrupt {
        return Some("twice it always quits");
    }
    None
}

/// What is wrong with the changed keys of a configuration file.
pub fn check(bindings: &[Binding]) -> Vec<Problem> {
    let line_of = |name: &str| {
        bindings.iter().find(|binding| binding.action == name).map(|binding| binding.line)
    };
    let Err(errors) = Keymap::new(bindings) else { return Vec::new() };
    errors
        .into_iter()
        .map(|error| {
            let line = match &error {
                KeymapError::Action { name, .. } => line_of(name),
                KeymapError::Key(keys) | KeymapError::Taken { keys, .. } => bindings
                    .iter()
                    .find(|binding| binding.keys.contains(keys))
                    .map(|binding| binding.line),
                // The later of the two, if both are in the file: that is the one just added.
                KeymapError::Conflict { first, second, .. } => line_of(first).max(line_of(second)),
            };
            Problem { line: line.unwrap_or(1), what: format!("keys: {error}") }
        })
        .collect()
}

impl Keymap {
    /// The default keys with `changes` on top, which replace the default ones of their actions.
    ///
    /// # Errors
    /// What cannot be bound; every problem, not only the first.
    pub fn new(changes: &[Binding]) -> Result<Self, Vec<KeymapError>> {
        let mut errors = Vec::new();
        let mut bindings = Vec::new();
        for Binding { action: name, .. } in changes {
            if !Action::ALL.iter().any(|action| action.name() == name) {
                let meant = nearest(name, Action::ALL.iter().map(|action| action.name()));
                // Of the table, not of the text.
                let meant =
                    Action::ALL.iter().map(|a| a.name()).find(|known| Some(*known) == meant);
                errors.push(KeymapError::Action { name: name.clone(), meant });
            }
        }
        for action in Action::ALL {
            let changed = changes.iter().find(|binding| binding.action == action.name());
            let own: Vec<&str> = match changed {
                Some(binding) => binding.keys.iter().map(String::as_str).collect(),
                None => action.default_keys().to_vec(),
            };
            for keys in own {
                match parse_sequence(keys) {
                    Ok(sequence) => match taken(&sequence, *action) {
                        Some(why) => errors.push(KeymapError::Taken { keys: keys.to_owned(), why }),
                        None => bindings.push((sequence, *action)),
                    },
                    Err(error) => errors.push(error),
                }
            }
        }
        let map = Self { bindings };
        errors.extend(map.conflicts());
        if errors.is_empty() { Ok(map) } else { Err(errors) }
    }

    /// The keys of an action, as the configuration file has them.
    pub fn written(&self, action: Action) -> Vec<String> {
        self.bindings
            .iter()
            .filter(|(_, a)| *a == action)
            .filter_map(|(keys, _)| write(keys))
            .collect()
    }

    /// The default keys.
    pub fn standard() -> Self {
        let bindings = Action::ALL
            .iter()
            .flat_map(|action| action.default_keys().iter().map(move |keys| (keys, *action)))
            .filter_map(|(keys, action)| Some((parse_sequence(keys).ok()?, action)))
            .collect();
        Self { bindings }
    }

    /// What `sequence` means in a pane.
    pub fn find(&self, pane: Where, sequence: &[Key]) -> Found {
        let mut found = Found::Nothing;
        for (keys, action) in &self.bindings {
            if !action.place().covers(pane) {
                continue;
            }
            if keys == sequence {
                return Found::Action(*action);
            }
            if keys.len() > sequence.len() && keys.starts_with(sequence) {
                found = Found::Prefix;
            }
        }
        found
    }

    /// The first binding of an action, to be shown.
    pub fn key(&self, action: Action) -> Option<String> {
        self.bindings.iter().find(|(_, a)| *a == action).map(|(keys, _)| show(keys))
    }

    /// All bindings of an action, to be shown.
    pub fn keys(&self, action: Action) -> Vec<String> {
        self.bindings.iter().filter(|(_, a)| *a == action).map(|(keys, _)| show(keys)).collect()
    }

    /// What can follow a prefix in a pane.
    pub fn continuations(&self, pane: Where, prefix: &[Key]) -> Vec<(String, Action)> {
        self.bindings
            .iter()
            .filter(|(keys, action)| {
                keys.len() > prefix.len() && keys.starts_with(prefix) && action.place().covers(pane)
            })
            .map(|(keys, action)| (show(keys.get(prefix.len()..).unwrap_or_default()), *action))
            .collect()
    }

    fn conflicts(&self) -> Vec<KeymapError> {
        let mut out = Vec::new();
        for (i, (keys, first)) in self.bindings.iter().enumerate() {
            for (other, second) in self.bindings.iter().skip(i + 1) {
                let clash = keys.starts_with(other) || other.starts_with(keys);
                if clash && first.place().overlaps(second.place()) {
                    out.push(KeymapError::Conflict {
                        keys: show(keys),
                        first: first.name(),
                        second: second.name(),
                    });
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_keys_are_valid_and_have_no_conflicts() {
        let map = Keymap::new(&[]).unwrap();
        assert_eq!(map.bindings.len(), Keymap::standard().bindings.len());
    }

    #[test]
    fn every_action_can_be_reached() {
        let map = Keymap::standard();
        for action in Action::ALL {
            assert!(!map.keys(*action).is_empty() || action.palette(), "{}", action.name());
            for (keys, bound) in map.bindings.iter().filter(|(_, a)| a == action) {
                let pane = Where::PANES.into_iter().find(|p| action.place().covers(*p)).unwrap();
                assert_eq!(map.find(pane, keys), Found::Action(*bound));
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Action::ALL.iter().map(|a| a.name()).collect();
        names.sort_unstable();
        let n = names.len();
        names.dedup();
        assert_eq!(names.len(), n);
    }

    fn own(action: &str, keys: &[&str], line: usize) -> Binding {
        Binding {
            action: action.to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            line,
        }
    }

    #[test]
    fn keys_can_be_changed_and_conflicts_are_named() {
        let map = Keymap::new(&[own("quit", &["ctrl-q"], 1)]).unwrap();
        assert_eq!(map.key(Action::Quit).unwrap(), "^Q");
        assert_eq!(map.written(Action::Quit), ["ctrl-q"]);
        let problems = check(&[
            own("quit", &["d"], 3),
            own("nope", &["x"], 4),
            own("share", &["hyper-x"], 5),
            own("leav", &["X"], 6),
            own("help", &["7"], 7),
            own("zoom", &["ctrl-c"], 8),
        ]);
        let all: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.line, problem.what)).collect();
        let has = |parts: &[&str]| all.iter().any(|t| parts.iter().all(|part| t.contains(part)));
        assert!(has(&["3: ", "d is bound to both download and quit"]), "{all:#?}");
        assert!(has(&["4: ", "nope"]) && has(&["5: ", "hyper-x"]), "{all:#?}");
        assert!(has(&["6: ", "did you mean leave?"]) && has(&["7: ", "count"]), "{all:#?}");
        assert!(has(&["8: ", "always quits"]), "{all:#?}");
    }

    #[test]
    fn what_is_written_can_be_read() {
        let map = Keymap::standard();
        let all: Vec<Binding> = Action::ALL
            .iter()
            .map(|action| Binding {
                action: action.name().to_owned(),
                keys: map.written(*action),
                line: 1,
            })
            .collect();
        assert_eq!(Keymap::new(&all).unwrap().bindings, map.bindings);
    }
}
