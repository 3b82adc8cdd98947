//! The swarm core: a plain state machine. No tokio, no clock, no socket, no file, no OS randomness.
//! Bytes of chunks never pass through it: it sees who sent how much of which request.
//!
//! - [`event`]: the contract with the shell; [`time`]: time as it is passed in.
//! - `node`: one peer's brain; dispatches to the parts below. `content`, `conn`: what it keeps.
//! - Contents and peers: `lifecycle`, `open`, `availability`, `manifest`, `hashes`.
//! - Fetching: `early` (before the first answer), `picker` (rarest first), `request`, `pipeline` (how much
//!   at once), `line` (which content next), `endgame` (late chunks), `recall` (waiting ones), `assembly`
//!   (what arrives, and who is believed), `waste` (those who break off what they began).
//! - Serving: `choker` (who may request), `serve`, `turns` (who is served next), `assign`
//!   (uploader-side assignment), `answers` (how many questions are answered), `doubt` (when a peer says
//!   that our copy is wrong).
//! - Connections: `seek`, `dialer` (back-off, bans), `dial_rate`, `greeting` (their way in), `places` (who goes when a table is
//!   full), `suspects` (neighbours of banned keys). `tick`: what time brings; `timers`: when.
//! - [`policy`]: weights, order, limits and bans the user wishes. `rate`, [`config`], [`view`].

mod answers;
mod assembly;
mod assign;
mod availability;
mod census;
mod choker;
pub mod config;
mod conn;
mod content;
mod dial_rate;
mod dialer;
mod doubt;
mod early;
mod endgame;
pub mod event;
mod greeting;
mod hashes;
mod lifecycle;
mod line;
mod manifest;
mod node;
mod open;
mod picker;
mod pipeline;
mod places;
pub mod policy;
mod rate;
mod recall;
mod remembered;
mod request;
mod seek;
pub mod senders;
mod serve;
mod suspects;
#[cfg(test)]
mod tests;
mod tick;
pub mod time;
mod timers;
mod turns;
pub mod view;
mod waste;

pub use config::NodeConfig;
pub use node::Node;
pub use seek::MAX_KNOWN;
