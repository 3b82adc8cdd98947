//! The operator's word to a running tracker: who is banned, who is forgotten, who takes most. Through a
//! socket in the state folder, for the same user only ([`common::control`]).
//!
//! - `change`: changes of the index; `invited`: invitations and members.
//! - `wire`: what is asked and answered; `server`: the tracker's end; `client`: the command's.

mod change;
mod client;
mod invited;
mod server;
mod wire;

use common::control::Place;

pub(crate) use client::records;
pub use client::{ControlError, ask};
pub(crate) use server::{Listening, listen, serve};
pub use wire::{Answer, Ask, BanRow, InviteRow, MemberRow, Outcome, PeerRow};

/// The socket's names. Not those of a peer's, whose state folder may be the same.
const SOCKET: Place = Place { inside: "tracker.sock", outside: "shoal-tracker" };
