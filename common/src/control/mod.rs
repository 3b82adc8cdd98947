//! A socket in a state folder, through which a user's other commands reach the program that runs there.
//!
//! [`Place`]: where it is; [`listen`], [`connect`]: its two ends, which make sure that the other one is the
//! same user (root commands everybody's); [`read`], [`write()`]: frames of MessagePack. What is said is each
//! program's own.

mod frame;
mod place;

pub use frame::{decode, read, read_bytes, write};
pub use place::{Place, SocketFile, admit, connect, listen};
