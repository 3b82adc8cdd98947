//! Local time without a library: the offset from UTC out of the system's zone file (RFC 9636).

use std::path::PathBuf;

/// Zone files are some kilobytes; a bigger one is not one.
const MAX_FILE: usize = 256 * 1024;

/// Seconds east of UTC now; 0 if the system does not say.
pub(crate) fn utc_offset(unix: u64) -> i32 {
    let path = match std::env::var("TZ") {
        Ok(zone) if !zone.is_empty() => {
            let name = zone.trim_start_matches(':');
            if name.contains("..") {
                return 0;
            }
            PathBuf::from("/usr/share/zoneinfo").join(name)
        }
        _ => PathBuf::from("/etc/localtime"),
    };
    let bytes = std::fs::read(path).unwrap_or_default();
    if bytes.len() > MAX_FILE {
        return 0;
    }
    parse(&bytes, i64::try_from(unix).unwrap_or(0)).unwrap_or(0)
}

/// The offset in force at `unix` according to a zone file.
fn parse(bytes: &[u8], unix: i64) -> Option<i32> {
    let first = header(bytes)?;
    // Version 2 and later repeat everything with 64-bit times.
    let skip = 44
        + first.times * 5
        + first.kinds * 6
        + first.chars
        + first.leaps * 8
        + first.isstd
        + first.isut;
    let (body, width) = match (first.version, bytes.get(skip..)) {
        (2.., Some(second)) => (second, 8),
        _ => (bytes, 4),
    };
    let head = header(body)?;
    let times = body.get(44..44 + head.times * width)?;
    let indices = body.get(44 + head.times * width..)?.get(..head.times)?;
    let kinds = body.get(44 + head.times * (width + 1)..)?.get(..head.kinds * 6)?;
    let mut kind = 0;
    for (time, index) in times.chunks_exact(width).zip(indices) {
        let at = match width {
            8 => i64::from_be_bytes(time.try_into().ok()?),
            _ => i64::from(i32::from_be_bytes(time.try_into().ok()?)),
        };
        if at > unix {
            break;
        }
        kind = usize::from(*index);
    }
    let offset = kinds.get(kind * 6..kind * 6 + 4)?;
    let offset = i32::from_be_bytes(offset.try_into().ok()?);
    (offset.abs() <= 26 * 3600).then_some(offset)
}

struct Header {
    version: u8,
    isut: usize,
    isstd: usize,
    leaps: usize,
    times: usize,
    kinds: usize,
    chars: usize,
}

fn header(bytes: &[u8]) -> Option<Header> {
    if bytes.get(..4)? != b"TZif" {
        return None;
    }
    let version = bytes.get(4)?.saturating_sub(b'0');
    let field = |i: usize| -> Option<usize> {
        let at = 20 + i * 4;
        let n = u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
        usize::try_from(n).ok().filter(|n| *n <= MAX_FILE)
    };
    Some(Header {
        version,
        isut: field(0)?,
        isstd: field(1)?,
        leaps: field(2)?,
        times: field(3)?,
        kinds: field(4)?,
        chars: field(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, width: usize) -> Vec<u8> {
        let mut out = b"TZif".to_vec();
        out.push(version);
        out.extend([0; 15]);
        for n in [0u32, 0, 0, 2, 2, 4] {
            out.extend(n.to_be_bytes());
        }
        for time in [1000i64, 2000] {
            out.extend(&time.to_be_bytes()[8 - width..]);
        }
        out.extend([1u8, 0]);
        for offset in [3600i32, 7200] {
            out.extend(offset.to_be_bytes());
            out.extend([0, 0]);
        }
        out.extend(b"CET\0");
        out
    }

    #[test]
    fn the_offset_in_force_is_found() {
        let mut two = file(b'2', 4);
        two.extend(file(b'2', 8));
        for bytes in [file(0, 4), two] {
            assert_eq!(parse(&bytes, 1500), Some(7200));
            assert_eq!(parse(&bytes, 5000), Some(3600));
            assert_eq!(parse(&bytes, 0), Some(3600));
        }
    }

    #[test]
    fn damaged_files_are_no_offset() {
        let good = file(b'2', 4);
        for cut in 0..good.len() {
            parse(&good[..cut], 1500);
        }
        assert_eq!(parse(b"", 0), None);
        assert_eq!(parse(&[0xFF; 100], 0), None);
    }
}
