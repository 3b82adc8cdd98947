//! What a Shoal tracker and a Shoal peer must agree on.
//!
//! Nothing here does IO except [`channel`], the framed and encrypted connection, [`identity`], which
//! reads and creates the key file, [`control`], a socket for this user, [`http`], the server for whoever
//! watches, and what asks the system: [`descriptors`] for its limit of open files, [`memory`],
//! [`net::OnLink`] for this machine's addresses, [`near`] for the networks around. In reading order:
//!
//! - [`id`], [`hash`]: 32-byte identifiers, SHA-256.
//! - [`limits`]: every bound of the protocol with its reason.
//! - [`layout`], [`chunk_set`]: how content is cut into chunks, and which of them somebody has.
//! - [`merkle`]: BitTorrent v2's per-file hash tree, chunk hashes and proofs.
//! - [`manifest`]: what a folder contains; [`content`]: what an id stands for; [`names`]: names from strangers;
//!   [`inside`]: names of files inside folders, to be found by; [`fold`](mod@fold): texts as they are compared.
//! - [`identity`], [`membership`], [`join`]: keys, who belongs to a network, join strings and file links;
//!   [`tracker_hosts`]: where a tracker is by its own word; [`revoked`]: whom it lets in no more; [`signed`]: lists that it signs.
//! - [`net`]: whose connections count as one where places are scarce; [`near`]: networks that announce themselves.
//! - [`control`]: the socket in a state folder through which a user's commands reach what runs there.
//! - [`wire`]: frames and messages; [`channel`]: TLS 1.3 with raw public keys.
//! - [`http`]: metrics and the like, in plain HTTP; [`lock`]: locks after a panic; [`clock`]: times as numbers;
//!   [`numbers`]: numbers that have to fit.
#![deny(missing_docs)]

pub mod channel;
pub mod chunk_set;
pub mod clock;
pub mod content;
pub mod control;
pub mod descriptors;
pub mod file_limit;
pub mod fold;
#[doc(hidden)]
pub mod fuzzing;
pub mod hash;
pub mod http;
pub mod id;
pub mod identity;
pub mod inside;
pub mod join;
pub mod layout;
pub mod limits;
pub mod lock;
pub mod manifest;
pub mod membership;
pub mod memory;
pub mod merkle;
pub mod names;
pub mod near;
pub mod net;
pub mod numbers;
pub mod relay;
pub mod revoked;
pub mod signed;
pub mod tracker_hosts;
pub mod wire;
