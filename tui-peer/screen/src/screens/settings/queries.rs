//! Which rows there are.

use settings::{Item, Page};

use super::state::{Panel, Row};
use crate::action::Action;
use crate::model::Model;

impl Panel {
    /// The rows to choose from: those of the page, or those that are being looked for.
    pub fn rows(&self, model: &Model) -> Vec<Row> {
        match &self.query {
            Some(query) => found(model, query.text()),
            None if self.page == Page::Keys => Action::ALL.iter().copied().map(Row::Keys).collect(),
            None => Item::on(self.page).map(Row::Item).collect(),
        }
    }

    /// The row under the cursor.
    pub fn row(&self, model: &Model) -> Option<Row> {
        self.rows(model).get(self.cursor).copied()
    }

    /// Goes to a row on its page.
    pub fn go_to(&mut self, model: &Model, row: Row) {
        self.query = None;
        self.page = match row {
            Row::Item(item) => item.page(),
            Row::Keys(_) => Page::Keys,
        };
        self.cursor = self.rows(model).iter().position(|r| *r == row).unwrap_or(0);
    }
}

/// Rows with all words of a query in what is known of them; those that show the words come first.
fn found(model: &Model, query: &str) -> Vec<Row> {
    let query = query.to_lowercase();
    let rank = |shown: &str, rest: String| {
        let shown = shown.to_lowercase();
        let all = format!("{shown} {}", rest.to_lowercase());
        let has = |text: &str| query.split_whitespace().all(|word| text.contains(word));
        has(&all).then(|| u8::from(!has(&shown)))
    };
    let items = Item::ALL.iter().filter_map(|item| {
        let rest = format!("{} {} {}", item.key(), item.help(), item.page().title());
        Some((rank(item.label(), rest)?, Row::Item(*item)))
    });
    let actions = Action::ALL.iter().filter_map(|action| {
        let keys = model.keymap.keys(*action).join(" ");
        let rest = format!("{} {} {keys} keys", action.name(), action.words());
        Some((rank(model.help(*action), rest)?, Row::Keys(*action)))
    });
    let mut rows: Vec<(u8, Row)> = items.chain(actions).collect();
    rows.sort_by_key(|(rank, _)| *rank);
    rows.into_iter().map(|(_, row)| row).collect()
}
