//! For the tests beside this crate: what they make a library with, as an earlier run would have left it.

pub use crate::library::{Stat, restore};
