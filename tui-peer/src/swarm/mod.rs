//! The swarm core: a plain state machine. No tokio, no clock, no socket, no file, no OS randomness.
//! Bytes of chunks never pass through it: it sees who sent how much of which request.
//!
//! - [`event`]: the contract with the shell; [`time`]: time as it is passed in.
//! - [`node`]: one peer's brain; dispatches to the parts below.
//! - [`open`]: contents opened on connections, descriptors and manifests.
//! - [`download`]: requests, deadlines, verdicts; [`picker`]: rarest first; [`hashes`]: chunk hashes.
//! - [`upload`]: serving, uploader-side assignment; [`choker`]: who may request.
//! - [`dialer`]: whom to connect to, back-off, bans; [`tick`]: what time brings.
//! - [`rate`], [`config`], [`view`].

pub mod config;
mod choker;
mod conn;
mod content;
mod dialer;
mod download;
pub mod event;
mod hashes;
mod node;
mod open;
pub mod picker;
mod rate;
mod tick;
pub mod time;
mod upload;
pub mod view;

pub use config::NodeConfig;
pub use node::Node;
