//! The tables of the store's file.

use ::redb::TableDefinition;
use common::id::ID_LEN;

pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const FILES: TableDefinition<'_, &[u8; ID_LEN], &[u8]> = TableDefinition::new("files");
pub(super) const PEERS: TableDefinition<'_, &[u8; ID_LEN], &[u8]> = TableDefinition::new("peers");
/// Peer and content → name.
pub(super) const SHARES: TableDefinition<'_, &[u8; 2 * ID_LEN], &str> =
    TableDefinition::new("shares");
/// Names of the files inside folders. Not in the files of older programs, which leave it alone.
pub(super) const NAMES: TableDefinition<'_, &[u8; ID_LEN], &[u8]> = TableDefinition::new("names");
/// Who was invited, and invitations by their numbers. Not in the files of older programs, which leave them alone.
pub(super) const MEMBERS: TableDefinition<'_, &[u8; ID_LEN], &[u8]> =
    TableDefinition::new("members");
pub(super) const INVITES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("invites");
/// Who may not join. Not in the files of older programs, which leave it alone.
pub(super) const BANS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("bans");
