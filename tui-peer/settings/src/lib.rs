//! The settings in force: what the command line, the environment and the configuration file say, put
//! together. Order: flag, environment, file, default.
//!
//! [`Item`] lists every setting; [`Table`] holds their values with where they come from; `file` reads
//! the configuration file and [`write()`] changes one entry of it; [`load`] puts all together.

mod error;
mod file;
mod hooks;
mod item;
mod join;
mod kind;
pub mod load;
mod log;
mod program;
mod rate;
mod table;
mod themes;
mod typed;
mod units;
mod write;

pub use error::{Problem, SettingsError};
pub use hooks::Hooks;
pub use item::{Item, Page};
pub use join::{parse_join, read_secret};
pub use kind::{Kind, nearest};
pub use load::KeyCheck;
pub use log::LogTo;
pub use rate::{Rate, parse_rate, parse_size};
pub use table::{Binding, Layer, Origin, Table};
pub use themes::{Base, OwnTheme, Paint, Role};
pub use typed::{AskQuit, Notify};
pub use units::Units;
pub use write::{Change, WriteError, write};

/// What is wrong in the text of a configuration file.
pub fn problems_in(text: &str) -> Vec<Problem> {
    file::parse(text).problems
}
