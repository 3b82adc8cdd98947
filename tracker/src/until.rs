//! Until when an invitation may be used, as an operator says it.

use std::time::SystemTime;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// Longest time from now, in days: whoever means longer means for ever.
const MOST_DAYS: u64 = 3650;

/// Seconds since 1970 of a day's end here (`2026-12-31`) or of a time from now (`30m`, `12h`, `7d`).
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let now = common::clock::unix_secs(SystemTime::now());
    parse_at(text, now, &TimeZone::system())
}

fn parse_at(text: &str, now: u64, zone: &TimeZone) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time: write 2026-12-31, 30m, 12h or 7d");
    if let Ok(date) = text.parse::<Date>() {
        let next = date.tomorrow().map_err(|_| wrong())?.to_datetime(Time::midnight());
        let end = zone.to_timestamp(next).map_err(|_| wrong())?.as_second();
        let end = u64::try_from(end).map_err(|_| wrong())?;
        return if end > now { Ok(end) } else { Err(format!("{text} is over")) };
    }
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 'm')) => (text.get(..at), 60),
        Some((at, 'h')) => (text.get(..at), 3600),
        Some((at, 'd')) => (text.get(..at), 86_400),
        _ => return Err(wrong()),
    };
    let number: u64 = number.and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
    let seconds = number.checked_mul(unit).filter(|all| *all > 0 && *all <= MOST_DAYS * 86_400);
    seconds.map(|seconds| now.saturating_add(seconds)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_to_their_end_or_from_now() {
        let now = 1_700_000_000;
        let parse = |text| parse_at(text, now, &TimeZone::UTC);
        assert_eq!(parse("30m"), Ok(now + 1800));
        assert_eq!(parse("12h"), Ok(now + 43_200));
        assert_eq!(parse("7d"), Ok(now + 604_800));
        // 14 November 2023, 22:13:20: that day lasts for less than two hours more.
        assert_eq!(parse("2023-11-14"), Ok(1_700_006_400));
        for wrong in
            ["", "7", "d", "0h", "-1d", "4000d", "99999999999999999999d", "2023-11-13", "tomorrow"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
