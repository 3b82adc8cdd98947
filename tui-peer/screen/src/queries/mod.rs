//! Questions to a model that both [`update`](super::update) and [`view`](super::view) have: what can be done now,
//! what it would be about, which rows there are. They change nothing.

mod can;
mod idle;
mod selected;
mod typed;

pub(crate) use can::can;
pub(crate) use idle::{takes, waits_for};
pub(crate) use selected::{UNDO, can_undo, kind, peer, words_to_watch};
pub(crate) use typed::{expand, written};
