//! Numbers and names as people read them. Pure; every width is bounded so that columns stay aligned.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use settings::Units;

/// Widest [`size`], in columns.
pub const SIZE_WIDTH: u16 = 8;
/// Widest [`rate`], in columns.
pub const RATE_WIDTH: u16 = 10;

const IEC: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const SI: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
const BITS: [&str; 7] = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s", "Ebit/s"];
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const TWO_DAYS: u64 = 2 * DAY;

/// Bytes with three significant digits, at most eight columns: `999 B`, `1.00 KiB`, `102 GiB`; never
/// `1024 KiB`.
pub fn size(bytes: u64, units: Units) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    match units {
        Units::Iec => scaled(bytes as f64, 1024.0, &IEC, three_digits),
        Units::Si | Units::Bits => scaled(bytes as f64, 1000.0, &SI, three_digits),
    }
}

/// Bytes per second, at most ten columns; `none` (a dash) below one.
pub fn rate(bytes_per_second: f64, none: &str, units: Units) -> String {
    // NaN is "no rate" too.
    if bytes_per_second >= 1.0 {
        match units {
            Units::Iec | Units::Si => format!("{}/s", size(bytes_per_second as u64, units)),
            // "Mbit/s" is long: two digits below ten, so that the column does not grow.
            Units::Bits if bytes_per_second < 125.0 => {
                format!("{} bit/s", (bytes_per_second * 8.0) as u64)
            }
            Units::Bits => scaled(bytes_per_second * 8.0, 1000.0, &BITS, two_digits),
        }
    } else {
        none.to_owned()
    }
}

/// The largest unit in which the value has at most three digits before the point.
fn scaled(mut value: f64, step: f64, units: &[&str], digits: fn(f64) -> String) -> String {
    let last = units.len().saturating_sub(1);
    for (i, unit) in units.iter().enumerate().skip(1) {
        value /= step;
        // 999.5 would be printed as 1000: it belongs to the next unit.
        if value < 999.5 || i == last {
            return format!("{} {unit}", digits(value.min(999.0)));
        }
    }
    String::new()
}

/// With thousands separators: `23,593`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A count in at most five columns: `1,204`, `12.3k`, `1.2M`.
pub fn short_count(n: u64) -> String {
    match n {
        0..10_000 => count(n),
        10_000..100_000 => format!("{}.{}k", n / 1000, n % 1000 / 100),
        100_000..1_000_000 => format!("{}k", n / 1000),
        1_000_000..10_000_000 => format!("{}.{}M", n / 1_000_000, n % 1_000_000 / 100_000),
        _ => format!("{}M", n / 1_000_000),
    }
}

/// Progress, rounded down; 100 % only for all of it, 99.x % shortly before.
pub fn percent(done: u64, total: u64) -> String {
    if done >= total {
        return "100%".to_owned();
    }
    let tenths = u128::from(done) * 1000 / u128::from(total.max(1));
    if tenths >= 990 {
        format!("{}.{}%", tenths / 10, tenths % 10)
    } else {
        format!("{}%", tenths / 10)
    }
}

/// Time to go in two units: `48s`, `1m 50s` (in steps of 5 s from a minute on), `3h 12m`, `3d 4h`, `>99d`.
pub fn eta(seconds: u64) -> String {
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => {
            let rounded = (seconds + 2) / 5 * 5;
            if rounded >= HOUR {
                return "1h 0m".to_owned();
            }
            format!("{}m {}s", rounded / MINUTE, rounded % MINUTE)
        }
        HOUR..DAY => format!("{}h {}m", seconds / HOUR, seconds % HOUR / MINUTE),
        _ if seconds / DAY > 99 => ">99d".to_owned(),
        _ => format!("{}d {}h", seconds / DAY, seconds % DAY / HOUR),
    }
}

/// Copies of the rarest chunk, in at most four columns: `0.99`, `17.1`, `38`, `1204`.
pub fn availability(copies: f32) -> String {
    let copies = f64::from(copies.max(0.0));
    if copies < 1.0 {
        // 0.999 must not read 1.00: it means that something is missing.
        format!("{:.2}", (copies * 100.0).floor() / 100.0)
    } else if copies < 9.995 {
        format!("{copies:.2}")
    } else if copies < 99.95 {
        format!("{copies:.1}")
    } else {
        format!("{copies:.0}")
    }
}

/// How long something lasts, as a clock: `0:42`, `12:05`, `1:02:03`.
pub fn clock(duration: Duration) -> String {
    let s = duration.as_secs();
    if s < HOUR {
        format!("{}:{:02}", s / MINUTE, s % MINUTE)
    } else {
        format!("{}:{:02}:{:02}", s / HOUR, s % HOUR / MINUTE, s % MINUTE)
    }
}

/// How long ago: `just now`, `12 s ago`, `2 h ago`.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..2 => "just now".to_owned(),
        2..MINUTE => format!("{seconds} s ago"),
        MINUTE..HOUR => format!("{} min ago", seconds / MINUTE),
        HOUR..DAY => format!("{} h ago", seconds / HOUR),
        _ => format!("{} d ago", seconds / DAY),
    }
}

/// How long something has lasted, in its largest unit and at most seven columns: `12 s`, `5 min`, `47 h`, `11 d`.
pub fn lasting(seconds: u64) -> String {
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..TWO_DAYS => format!("{} h", seconds / HOUR),
        _ => format!("{} d", (seconds / DAY).min(99_999)),
    }
}

/// The same time for the calendar, which ends with the year 9999.
fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::try_from(at).unwrap_or(Timestamp::MAX)
}

/// Time of day, `HH:MM:SS`, as clocks in `zone` showed it then.
pub fn time_of_day(at: SystemTime, zone: &TimeZone) -> String {
    let time = zone.to_datetime(timestamp(at)).time();
    format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

/// Universal time as `2026-11-21T12:04:31.120Z`.
pub fn stamp(at: SystemTime) -> String {
    format!("{:.3}", timestamp(at))
}

/// `one chunk`, `2 chunks`.
pub fn plural(n: u64, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{} {word}s", count(n)) }
}

/// Shortens to `width` columns, leaving out the middle so that the end of a name (its extension)
/// stays readable: that is kept whole if half of the width holds it. Cuts between grapheme clusters, and never
/// within an escape such as `\u{e9}`.
pub fn middle(text: &str, width: usize, ellipsis: &str) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let dots = ellipsis.width();
    if width <= dots {
        return start(text, width);
    }
    let extension = common::names::extension(text.trim_end_matches('/')).width();
    let fits = if extension <= (width - dots) / 2 { extension } else { 0 };
    let tail_width = ((width - dots) / 3).min(12).max(fits);
    let mut tail = 0;
    let mut from = text.len();
    for unit in units(text).rev() {
        if tail + unit.width() > tail_width {
            break;
        }
        tail += unit.width();
        from -= unit.len();
    }
    let head = start(text, width - dots - tail);
    format!("{head}{ellipsis}{}", text.get(from..).unwrap_or_default())
}

/// A name as a terminal can show it that has seven bits: other characters are escaped, so that names stay apart.
pub fn seven_bits(name: &str) -> Cow<'_, str> {
    if name.is_ascii() {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(2 * name.len());
    for c in name.chars() {
        match c {
            '…' => out.push_str("..."),
            c if c.is_ascii() => out.push(c),
            c => out.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(out)
}

/// How many of so many, both in the unit of the latter: `0.61/1.20 GiB`.
pub fn part(done: u64, total: u64, units: Units) -> String {
    if total < 1000 {
        return format!("{}/{total} B", done.min(total));
    }
    let whole = size(total, units);
    let number = whole.split(' ').next().unwrap_or_default();
    let digits = number.split_once('.').map_or(0, |(_, digits)| digits.len());
    // Rounded down: all of it is only what is all of it.
    let scale = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
    let all: f64 = number.parse().unwrap_or(0.0);
    let part = (done.min(total) as f64 / total as f64 * all * scale).floor() / scale;
    format!("{part:.digits$}/{whole}")
}

/// The longest beginning that is at most `width` columns wide; it ends between grapheme clusters and not
/// within an escape.
pub fn start(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for unit in units(text) {
        used += unit.width();
        if used > width {
            break;
        }
        out.push_str(unit);
    }
    out
}

/// What a text must not be cut within: grapheme clusters, and escapes of characters.
fn units(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    let mut units: Vec<&str> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.graphemes(true).next() {
        let len = escape(rest).unwrap_or(first.len());
        let Some((unit, after)) = rest.split_at_checked(len) else { break };
        units.push(unit);
        rest = after;
    }
    units.into_iter()
}

/// Bytes of the escape that a text begins with, as [`char::escape_unicode`] writes it.
fn escape(text: &str) -> Option<usize> {
    const MAX_DIGITS: usize = 6;
    let digits = text.strip_prefix("\\u{")?;
    let end = digits.find(|c: char| !c.is_ascii_hexdigit())?;
    let whole = (1..=MAX_DIGITS).contains(&end)
        && digits.get(end..).is_some_and(|rest| rest.starts_with('}'));
    whole.then(|| text.len() - digits.len() + end + 1)
}

/// One glyph per value, `levels` being the glyphs from lowest to highest; `top` is full height.
pub fn sparkline(values: &[f64], top: f64, levels: &[char]) -> String {
    let steps = levels.len();
    values
        .iter()
        .map(|value| {
            let share = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
            let step = ((share * steps as f64).ceil() as usize).clamp(1, steps.max(1));
            levels.get(step - 1).copied().unwrap_or(' ')
        })
        .collect()
}

fn two_digits(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn three_digits(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn c4_how_long_somebody_has_been_there_is_short() {
        let all = [0, 59, 60, 3599, 3600, 47 * HOUR, TWO_DAYS, 1_000_000, u64::MAX].map(lasting);
        let said = ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 d", "11 d", "99999 d"];
        assert_eq!(all, said);
        assert!(all.iter().all(|said| said.len() <= 7));
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "0.98 KiB"),
            (1024, "1.00 KiB"),
            (10_230, "9.99 KiB"),
            (10_236, "10.0 KiB"),
            (65_431_142, "62.4 MiB"),
            (109_521_666_048, "102 GiB"),
            (1_047_552, "1.00 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes, Units::Iec), text, "{bytes}");
        }
    }

    #[test]
    fn names_are_not_cut_within_an_escape() {
        let name = r"caf\u{e9} \u{1f980}\u{442}.txt";
        for width in 0..name.len() {
            let cut = middle(name, width, "..");
            assert!(cut.width() <= width, "{width}: {cut}");
            let whole = |at: usize| escape(cut.get(at..).unwrap_or_default()).is_some();
            assert!(cut.match_indices('\\').all(|(at, _)| whole(at)), "{width}: {cut}");
            assert_eq!(cut.matches('{').count(), cut.matches('}').count(), "{width}: {cut}");
        }
        assert_eq!(middle(name, 15, ".."), r"caf\u{e9}...txt");
        // What only looks like one.
        for odd in [r"\u{}", r"\u{xyz}", r"\u{1234567}", r"\u{12", r"\n"] {
            assert_eq!(escape(odd), None, "{odd}");
        }
    }

    #[test]
    fn other_units_have_their_own_steps() {
        assert_eq!(size(1000, Units::Si), "1.00 kB");
        assert_eq!(size(65_431_142, Units::Bits), "65.4 MB");
        assert_eq!(rate(13_002_342.0, "-", Units::Iec), "12.4 MiB/s");
        assert_eq!(rate(13_002_342.0, "-", Units::Si), "13.0 MB/s");
        assert_eq!(rate(13_002_342.0, "-", Units::Bits), "104 Mbit/s");
        assert_eq!(rate(1_000_000.0, "-", Units::Bits), "8.0 Mbit/s");
        assert_eq!(rate(2.0, "-", Units::Bits), "16 bit/s");
        assert_eq!(rate(f64::NAN, "-", Units::Bits), "-");
    }

    #[test]
    fn a_part_has_the_unit_of_all() {
        for (done, total, text) in [
            (0, 0, "0/0 B"),
            (3, 999, "3/999 B"),
            (5, 2048, "0.00/2.00 KiB"),
            (614 << 20, 1 << 30, "0.59/1.00 GiB"),
            ((1 << 30) - 1, 1 << 30, "0.99/1.00 GiB"),
            (1 << 30, 1 << 30, "1.00/1.00 GiB"),
            (300 << 20, 512 << 20, "300/512 MiB"),
        ] {
            assert_eq!(part(done, total, Units::Iec), text, "{done} of {total}");
        }
    }

    #[test]
    fn progress_never_rounds_up_to_all() {
        assert_eq!(percent(0, 7), "0%");
        assert_eq!(percent(62, 100), "62%");
        assert_eq!(percent(999_999, 1_000_000), "99.9%");
        assert_eq!(percent(5, 5), "100%");
        assert_eq!(percent(0, 0), "100%");
        assert_eq!(percent(u64::MAX - 1, u64::MAX), "99.9%");
    }

    #[test]
    fn times_are_short() {
        for (s, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 0s"),
            (108, "1m 50s"),
            (3599, "1h 0m"),
            (11_520, "3h 12m"),
            (273_600, "3d 4h"),
            (8_640_000, ">99d"),
            (u64::MAX, ">99d"),
        ] {
            assert_eq!(eta(s), text, "{s}");
        }
        assert_eq!(clock(Duration::from_secs(42)), "0:42");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
        assert_eq!(age(7200), "2 h ago");
    }

    fn at(unix_ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(unix_ms)
    }

    #[test]
    fn times_are_universal() {
        assert_eq!(stamp(at(1_795_262_671_120)), "2026-11-21T12:04:31.120Z");
        assert_eq!(stamp(at(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(at(1_582_934_400_999)), "2020-02-29T00:00:00.999Z");
        assert!(stamp(at(u64::MAX)).starts_with("9999-12-"), "{}", stamp(at(u64::MAX)));
    }

    #[test]
    fn times_of_day_follow_the_rules_of_the_zone() {
        let november = at(1_763_726_671_000);
        assert_eq!(time_of_day(november, &TimeZone::UTC), "12:04:31");
        let west = TimeZone::fixed(jiff::tz::offset(-13));
        assert_eq!(time_of_day(november, &west), "23:04:31");
        // All that a short zone file says of Berlin: two hours ahead in summer, also when it was read in winter,
        // and after 2037.
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(time_of_day(november, &berlin), "13:04:31");
        let july = at(1_784_635_200_000);
        assert_eq!(time_of_day(july, &berlin), "14:00:00");
        let summer_of_2050 = at(2_541_931_200_000);
        assert_eq!(stamp(summer_of_2050), "2050-07-20T12:00:00.000Z");
        assert_eq!(time_of_day(summer_of_2050, &berlin), "14:00:00");
    }

    #[test]
    fn availability_below_one_never_reads_one() {
        assert_eq!(availability(0.9999), "0.99");
        assert_eq!(availability(3.41), "3.41");
        assert_eq!(availability(17.13), "17.1");
        assert_eq!(availability(1204.0), "1204");
        assert_eq!(availability(f32::NAN), "0.00");
    }

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(middle("ubuntu-24.04.1-desktop-amd64.iso", 24, "…"), "ubuntu-24.04.1-d…d64.iso");
        assert_eq!(middle("very-long-name-of-a-file.tar.gz", 20, "…"), "very-long-na….tar.gz");
        assert_eq!(middle("short", 5, "…"), "short");
        assert_eq!(middle("日本語のファイル.txt", 9, "…"), "日本….txt");
        assert_eq!(middle("abcdef", 1, "…"), "a");
        assert_eq!(middle("abcdef", 0, "…"), "");
    }

    #[test]
    fn sparklines_show_every_level() {
        let levels: Vec<char> = "12345678".chars().collect();
        assert_eq!(sparkline(&[0.0, 1.0, 4.0, 8.0], 8.0, &levels), "1148");
        assert_eq!(sparkline(&[0.0, 0.0], 0.0, &levels), "11");
    }

    proptest! {
        #[test]
        fn widths_are_bounded(n in any::<u64>(), f in any::<f32>()) {
            for units in [Units::Iec, Units::Si, Units::Bits] {
                prop_assert!(size(n, units).width() <= usize::from(SIZE_WIDTH));
                prop_assert!(!size(n, units).starts_with("1024 "));
                prop_assert!(rate(f64::from(f), "-", units).width() <= usize::from(RATE_WIDTH));
            }
            prop_assert!(eta(n).width() <= 7);
            prop_assert!(short_count(n % 100_000_000).width() <= 5);
            prop_assert!(availability((n % 10_000) as f32 / 7.0).width() <= 5);
        }

        #[test]
        fn percent_is_monotone_and_honest(total in 1u64.., a in any::<u64>()) {
            let done = a % total;
            let text = percent(done, total);
            prop_assert!(text.width() <= 5);
            prop_assert_ne!(text, "100%");
        }

        #[test]
        fn shortened_text_fits(text in "\\PC{0,40}", width in 0usize..50) {
            prop_assert!(middle(&text, width, "…").width() <= width);
            prop_assert!(start(&text, width).width() <= width);
        }

        #[test]
        fn counts_keep_their_digits(n in any::<u64>()) {
            prop_assert_eq!(count(n).replace(',', ""), n.to_string());
        }
    }
}
