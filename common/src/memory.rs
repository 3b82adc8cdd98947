//! How much memory this process takes.

/// Bytes of memory that are in use and present, as the system counts them for this process; `None` where it
/// does not say (other systems than Linux).
pub fn resident() -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The line `VmRSS:  1234 kB` of proc_pid_status(5).
fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_what_is_resident() {
        assert_eq!(parse("Name:\tx\nVmRSS:\t    1234 kB\nVmData: 5 kB\n"), Some(1234 * 1024));
        assert_eq!(parse("VmRSS:\t x kB\n"), None);
        assert_eq!(parse(""), None);
        if cfg!(target_os = "linux") {
            assert!(resident().unwrap() > 1 << 20);
        }
    }
}
