//! One running peer, many commands: a socket in the state folder through which `status`, `share`,
//! `get`, `attach` and the rest reach the peer that runs there.
//!
//! What crosses it is an [`EngineHandle`](engine::api::handle::EngineHandle): the client's end is one
//! ([`attach`]), so that everything that works on an engine works on a remote one. Frames are a `u32`
//! length and MessagePack ([`wire`]); both ends make sure that the other is the same user, or root commands.
//!
//! - [`wire`]: messages, frames, limits; [`place`]: where the socket is, and who holds the folder;
//! - [`server`]: the running peer's end; [`client`]: the other.

pub mod client;
pub mod place;
pub mod server;
#[cfg(test)]
mod tests;
pub mod wire;

pub use client::{Attached, ControlError, attach, attach_if_running};
pub use place::PidFile;
pub use server::{Control, serve};
