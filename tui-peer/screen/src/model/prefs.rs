//! The settings as the app has them: with what was found out about the terminal.

use settings::{Item, Table};

use super::Model;
use crate::theme::{Detected, Theme};

/// Settings in force.
#[derive(Debug, Clone, Default)]
pub struct Prefs {
    /// Values with where they come from.
    pub table: Table,
    /// What the terminal is.
    pub detected: Detected,
    /// Changed in this run, in force from the next start.
    pub restart: Vec<Item>,
}

impl Prefs {
    /// From the settings at start.
    pub fn new(table: Table, detected: Detected) -> Self {
        Self { table, detected, restart: Vec::new() }
    }

    /// The look that follows.
    pub fn theme(&self) -> Theme {
        Theme::resolve(&self.table, &self.detected)
    }
}

impl Model {
    /// Takes over the settings at start.
    pub fn set_prefs(&mut self, prefs: Prefs) {
        self.theme = prefs.theme();
        self.units = prefs.table.units();
        self.mouse = prefs.table.is_on(Item::Mouse);
        self.prefs = prefs;
    }
}
