//! How many files and sockets this process may have open.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What systems allow that refuse to take their own word for "no limit" (macOS: OPEN_MAX).
const WITHOUT_LIMIT: u64 = 10_240;

/// Raises the limit to the most that this process may give itself; every connection and every open file
/// takes one descriptor, and the usual limit is 1024. Returns the limit.
///
/// # Errors
/// The system refuses. The limit stays as it was.
pub fn raise_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).or_else(|error| {
        if soft >= WITHOUT_LIMIT {
            return Err(error);
        }
        setrlimit(Resource::RLIMIT_NOFILE, WITHOUT_LIMIT.min(hard), hard)
    });
    raised?;
    Ok(limit())
}

/// The limit now; 10,240 if the system does not tell.
pub fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(WITHOUT_LIMIT, |(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f9_the_limit_is_the_highest_allowed() {
        let raised = raise_limit().unwrap();
        assert_eq!(raised, limit());
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(soft == hard || soft >= WITHOUT_LIMIT);
    }
}
