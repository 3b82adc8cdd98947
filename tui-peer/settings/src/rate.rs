//! Rates and sizes as people write them.

/// Largest rate or size that is taken for meant: a petabyte.
const MOST: f64 = 1e15;

/// Bytes per second; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

/// Reads `800K`, `10M`, `1.5MiB`, `20Mbit`, `0`, `none`. K, M and G are powers of 1024, as shown on
/// screen; those of bits are powers of 1000.
///
/// # Errors
/// What is wrong with it.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    let lower = text.trim().to_ascii_lowercase();
    if lower == "none" {
        return Ok(Rate(None));
    }
    let number = lower.trim_end_matches("/s");
    let bits = [("kbit", 125.0), ("mbit", 125_000.0), ("gbit", 125_000_000.0)];
    let bits =
        bits.into_iter().find_map(|(unit, factor)| Some((number.strip_suffix(unit)?, factor)));
    let bytes = match bits {
        Some((number, factor)) => amount(number, factor),
        None => bytes(number),
    };
    let bytes = bytes.ok_or_else(|| {
        format!("{text:?} is not a rate: write 800K, 10M, 1.5G, 20Mbit, or 0 for no limit")
    })?;
    Ok(Rate((bytes >= 1).then_some(bytes)))
}

/// Reads `512M`, `5GiB`, `0`. K, M, G and T are powers of 1024.
///
/// # Errors
/// What is wrong with it.
pub fn parse_size(text: &str) -> Result<u64, String> {
    bytes(&text.trim().to_ascii_lowercase())
        .ok_or_else(|| format!("{text:?} is not a size: write 512M, 5G, or 0"))
}

fn bytes(lower: &str) -> Option<u64> {
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let power = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    amount(number, (1u64 << power) as f64)
}

fn amount(number: &str, factor: f64) -> Option<u64> {
    let number = number.trim();
    if number.contains(|c: char| !c.is_ascii_digit() && c != '.') {
        return None;
    }
    let amount = number.parse::<f64>().ok()? * factor;
    (amount.is_finite() && amount <= MOST).then_some(amount as u64)
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
            ("8 Mbit/s", Some(1_000_000)),
        ] {
            assert_eq!(parse_rate(text), Ok(Rate(bytes)), "{text}");
        }
        for bad in ["", "fast", "10X", "-1", "1e99", "1.2.3M", "inf", "Mbit"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("0"), Ok(0));
        assert_eq!(parse_size(" 5 GiB "), Ok(5 << 30));
        assert_eq!(parse_size("1.5t"), Ok(3 << 39));
        for bad in ["", "none", "5Gbit", "5G/s", "lots"] {
            assert!(parse_size(bad).unwrap_err().contains("512M"), "{bad}");
        }
    }
}
