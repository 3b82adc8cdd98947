//! What comes of a request: a command for the engine and the words for its answer, or why not.

use std::sync::Arc;

use common::id::{ContentId, PeerId};
use serde_json::{Map, Value, json};

use crate::exit;
use crate::find::Miss;
use crate::json::{with_name, with_path};
use crate::logfile::redact;
use engine::api::command::{Command, CommandError, CommandErrorKind};

/// What a step or a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A content.
    Content {
        /// Its id.
        id: ContentId,
        /// Its name as its owner gave it.
        raw: Arc<str>,
        /// The same, safe to show.
        name: Arc<str>,
    },
    /// A peer.
    Peer {
        /// Its key.
        peer: PeerId,
        /// Its name for itself, safe to show; may be empty.
        nick: String,
    },
    /// The peer itself, or its network.
    Itself,
    /// What was typed and means nothing here.
    Unknown(String),
}

impl About {
    /// Adds the fields that say so.
    fn fill(&self, object: &mut Map<String, Value>) {
        match self {
            Self::Content { id, raw, name } => {
                object.insert("id".to_owned(), id.to_string().into());
                object.insert("name".to_owned(), (&**raw).into());
                object.insert("shown".to_owned(), (&**name).into());
            }
            Self::Peer { peer, nick } => {
                object.insert("peer".to_owned(), peer.to_string().into());
                object.insert("nick".to_owned(), nick.as_str().into());
            }
            Self::Itself => {}
            Self::Unknown(what) => {
                object.insert("what".to_owned(), redact(what).into());
            }
        }
    }
}

/// Something to be asked of the engine for one target.
#[derive(Debug, Clone)]
pub struct Step {
    /// What is asked.
    pub command: Command,
    /// For whom.
    pub about: About,
    /// What has happened then, for programs.
    pub event: &'static str,
    /// More of it, for programs.
    pub more: Vec<(&'static str, Value)>,
    /// The same for people, without a stop at its end.
    pub said: String,
}

impl Step {
    /// What has happened, for programs.
    pub fn object(&self) -> Value {
        let mut object = Map::new();
        object.insert("event".to_owned(), self.event.into());
        self.about.fill(&mut object);
        object.extend(self.more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        object.into()
    }
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// For programs.
    pub code: &'static str,
    /// The exit code.
    pub exit: u8,
    /// For people.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// For whom.
    pub about: About,
    /// What a name could mean, if several things.
    pub miss: Option<Miss>,
}

impl Refused {
    /// What was typed makes no sense.
    pub(super) fn usage(about: About, message: String, hint: &str) -> Box<Self> {
        let hint = hint.to_owned();
        Box::new(Self { code: "usage", exit: exit::USAGE, message, hint, about, miss: None })
    }

    /// A name means nothing, or too much; `none` says what there is none of.
    pub fn miss(miss: Miss, none: &str, hint: &str) -> Box<Self> {
        Box::new(Self {
            code: miss.word(),
            exit: exit::NOT_FOUND,
            message: miss.message(none),
            hint: hint.to_owned(),
            about: About::Unknown(miss.what.clone()),
            miss: Some(miss),
        })
    }

    /// The engine says no.
    pub fn engine(error: CommandError, about: About) -> Self {
        let (code, hint) = match error.kind {
            CommandErrorKind::NotFound => ("not-found", "tui-peer status"),
            CommandErrorKind::Io => ("io", "check the disk"),
            CommandErrorKind::Permission => ("permission", "tui-peer unshare"),
            CommandErrorKind::Invalid => ("refused", "tui-peer status"),
            CommandErrorKind::Stopped => ("stopped", "start it, then run this again"),
        };
        let exit = exit::of(error.kind);
        let message = match &about {
            About::Content { name, .. } if !error.message.contains(&**name) => {
                format!("{name}: {}", error.message)
            }
            _ => error.message,
        };
        Self { code, exit, message, hint: hint.to_owned(), about, miss: None }
    }

    /// For programs. What was typed may hold a link's secret, which goes nowhere.
    pub fn object(&self) -> Value {
        let mut object = Map::new();
        object.insert("event".to_owned(), "error".into());
        object.insert("code".to_owned(), self.code.into());
        self.about.fill(&mut object);
        object.insert("message".to_owned(), redact(&self.message).into());
        object.insert("hint".to_owned(), redact(&self.hint).into());
        if let Some(miss) = &self.miss {
            let candidates = miss.candidates.iter().map(|one| {
                let object = with_name(json!({"id": one.id}), &one.raw, &one.shown);
                match &one.path {
                    Some(path) => with_path(object, "path", path),
                    None => object,
                }
            });
            object.insert("candidates".to_owned(), candidates.collect());
            object.insert("near".to_owned(), miss.near.as_deref().into());
        }
        object.into()
    }
}
