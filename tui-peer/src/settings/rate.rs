//! Rates as people write them.

/// Bytes per second; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

/// Reads `800K`, `10M`, `1.5MiB`, `0`, `none`. K, M and G are powers of 1024, as shown on screen.
///
/// # Errors
/// What is wrong with it.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    let wrong = || format!("{text:?} is not a rate: write 800K, 10M, 1.5G, or 0 for no limit");
    let lower = text.trim().to_ascii_lowercase();
    if lower == "none" {
        return Ok(Rate(None));
    }
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let factor = match unit.trim().trim_end_matches("/s") {
        "" | "b" => 1u64,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * factor as f64;
    if !bytes.is_finite() || bytes > 1e15 {
        return Err(wrong());
    }
    Ok(Rate((bytes >= 1.0).then_some(bytes as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", None),
            ("none", None),
            ("500", Some(500)),
            ("800K", Some(800 << 10)),
            ("10M", Some(10 << 20)),
            ("1.5MiB/s", Some(3 << 19)),
            ("2g", Some(2 << 30)),
        ] {
            assert_eq!(parse_rate(text), Ok(Rate(bytes)), "{text}");
        }
        for bad in ["", "fast", "10X", "-1", "1e99", "1.2.3M"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }
}
