//! The swarm core: a plain state machine. No tokio, no clock, no socket, no file, no OS randomness.
//! Bytes of chunks never pass through it: it sees who sent how much of which request.
//!
//! What is kept, below: each part has its own state, and none knows `node`.
//! - [`event`]: the contract with the shell; [`time`]: time as it is passed in; [`policy`]: what the user wants of a
//!   content; [`config`]: numbers.
//! - `content`, `conn`: what is kept for one of these; `link`: for a content on a connection; `body`: for the chunks
//!   of a content. In them `picker` (rarest first), `availability_stats` and [`senders`] (for those who look), `line`
//!   (which content next), `pace` (a limit), `rate`.
//! - `conduct`, `suspects`: how peers have behaved; `dialer`, `dial_rate`: back-off, bans; `shaping`: limits and
//!   weights; `uplink`: what it carries; `answers`: how many questions are answered; `timers`: when; `remembered`:
//!   maps that stay small.
//! - [`congestion`]: a limit that keeps the uplink's queue short; the shell asks it, the node does not know it.
//! - `node`: one peer's brain, made of these. [`view`]: what it shows.
//!
//! Who works with it, above: `impl Node`, a file for each matter.
//! - `dispatch`: what happened goes to one of the others; `tick`: what time brings; `queries`: questions.
//! - Contents and peers: `lifecycle`, `open`, `availability`, `manifest`, `hashes`.
//! - Fetching: `early` (before the first answer), `budget` (how much at once), `waiting` (for a turn), `pipeline` (who
//!   is asked), `request` (which chunk), `expected` (when it is here), `endgame` (late chunks), `reassign` (waiting
//!   ones), `cancel` (what ends without data), `assembly` (what arrives, and who is believed).
//! - Serving: `choker` (who may request), `serve`, `turns` (who is served next), `assign` (uploader-side assignment),
//!   `recheck` (when a peer says that our copy is wrong).
//! - Connections: `discovery`, `reach` (peers that cannot be dialled), `greeting` (their way in), `closing`, `bans`,
//!   `places` (who goes when a table is full).

mod answers;
mod assembly;
mod assign;
mod availability;
mod availability_stats;
mod bans;
mod body;
mod budget;
mod cancel;
mod choker;
mod closing;
mod conduct;
pub mod config;
pub mod congestion;
mod conn;
mod content;
mod dial_rate;
mod dialer;
mod discovery;
mod dispatch;
mod early;
mod endgame;
pub mod event;
mod expected;
mod greeting;
mod hashes;
mod lifecycle;
mod line;
mod link;
mod manifest;
mod node;
mod open;
mod pace;
mod picker;
mod pipeline;
mod places;
pub mod policy;
mod queries;
mod rate;
mod reach;
mod reassign;
mod recheck;
mod remembered;
mod request;
mod runs;
pub mod senders;
mod serve;
mod shaping;
mod suspects;
#[cfg(test)]
mod tests;
mod tick;
pub mod time;
mod timers;
mod turns;
mod uplink;
pub mod view;
mod waiting;

pub use config::NodeConfig;
pub use discovery::MAX_KNOWN;
pub use node::Node;
