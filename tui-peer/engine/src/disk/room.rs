//! Room on a file system: what is there, what is to stay free, and what is still needed.

use std::path::Path;

use super::error::DiskError;
use super::syscalls::{self, Space};
use crate::api::config::{DEFAULT_KEEP_FREE, DEFAULT_KEEP_PART};

/// What file systems give out at once, in bytes; most of them.
pub(super) const BLOCK: u64 = 4096;

/// Bytes to be left free on a volume of `size` bytes, if `wanted` does not say.
pub(crate) fn kept_free(wanted: Option<u64>, size: u64) -> u64 {
    wanted.unwrap_or_else(|| DEFAULT_KEEP_FREE.min(size / DEFAULT_KEEP_PART))
}

/// Why `needed` more bytes do not fit into `dir`, where there is this room, if so. What needs nothing
/// always fits, however full the disk is.
pub(crate) fn lack(
    dir: &Path,
    space: Space,
    keep_free: Option<u64>,
    needed: u64,
) -> Result<(), DiskError> {
    let (free, kept) = (space.free, kept_free(keep_free, space.size));
    if needed == 0 || kept.saturating_add(needed) <= free {
        return Ok(());
    }
    Err(DiskError::Full { path: dir.to_path_buf(), needed, free, kept })
}

/// The same of what there is now, asked before reserving, so that the message names numbers; blocks.
pub(super) fn enough_room(
    dir: &Path,
    keep_free: Option<u64>,
    needed: u64,
) -> Result<(), DiskError> {
    // Where nobody can tell, the reservation will.
    syscalls::space(dir).map_or(Ok(()), |space| lack(dir, space, keep_free, needed))
}

/// Bytes of whole blocks.
pub(super) fn in_blocks(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gibibyte_or_a_hundredth_is_kept_whichever_is_less() {
        assert_eq!(kept_free(None, 1 << 40), 1 << 30);
        assert_eq!(kept_free(None, 10_000 << 20), 100 << 20);
        assert_eq!(kept_free(Some(7), 1 << 40), 7);
    }

    #[test]
    fn f11_what_fits_beside_what_is_kept_fits_and_not_a_byte_more() {
        let lack = |free, needed| lack(Path::new("/d"), Space { free, size: 1000 }, None, needed);
        assert!(lack(110, 100).is_ok(), "a hundredth is kept");
        let why = lack(109, 100).unwrap_err();
        assert!(why.is_full() && why.to_string().contains("to be kept"), "{why}");
        assert!(lack(0, 0).is_ok(), "who needs nothing is not in the way");
    }
}
