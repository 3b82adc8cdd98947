//! The swarm core: a plain state machine. No tokio, no clock, no socket, no file, no OS randomness.
//! Bytes of chunks never pass through it: it sees who sent how much of which request.

pub mod event;
pub mod time;
