//! Who counts as one when places are scarce: addresses in groups, and tables that take from the group
//! that has most.
//!
//! An address is never refused as such (a class behind one router has one address). Only a full table
//! looks at addresses, and then takes from the group with the most entries. Loopback and on-link
//! addresses are exempt: each entry from there stands for itself.

mod addresses;
mod fair_table;
mod fresh;
mod group;
mod half_open;
mod listen;
mod on_link;
mod send_buffer;
mod shared_port;
mod tcp_state;

pub(crate) use addresses::is_inner;
pub use addresses::{Interfaces, OwnAddress, in_turn, own_address_to, own_addresses};
pub use fair_table::{FairTable, Slot};
pub use group::{AddrGroup, Subnet};
pub use half_open::{
    ACCEPT_TIMEOUT, HalfOpen, HalfOpenPlace, MOST_HALF_OPEN, MOST_HALF_OPEN_AT_PEER, half_open_for,
    out_of_descriptors,
};
pub use listen::{listen, plain, try_listen};
pub use on_link::{Links, OnLink, Prefix};
pub use send_buffer::bound_send_buffer;
pub use shared_port::{connect_from, share_port};
pub use tcp_state::TcpState;
