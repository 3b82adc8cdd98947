//! The one HTTP/1.1 server of both programs, for machines that watch and for tools that read: `hyper` speaks
//! it, and what is answered stands in a table of [`Route`]s.
//!
//! It stands here because the tracker and the peer both need it and neither may know the other; it has no
//! place in the protocol between them.
//!
//! - [`Running`]: accepts, within [`Limits`]; whoever is silent or slow loses its place, and nobody else.
//! - [`Route`], [`Asked`], [`Answer`]: a path, what was asked, what is said.
//! - [`Exposition`]: numbers as Prometheus and its relatives read them.

mod exposition;
mod places;
mod route;
mod running;
mod server;

pub use exposition::{Exposition, Family, Kind, Value};
pub use hyper::{StatusCode, header};
pub use route::{Answer, Answering, Asked, Body, Handler, Route, body, text};
pub use running::Running;
pub use server::Limits;
