//! Numbers and tables as people read them.

use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes with a binary unit: `512 B`, `1.5 MiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Bytes per second.
pub(super) fn rate(count: u64, time: Duration) -> String {
    let seconds = time.as_secs_f64().max(1e-3);
    format!("{}/s", bytes((count as f64 / seconds) as u64))
}

/// A number in groups of three: `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something: `1 batch`, `1,234 batches`.
pub(super) fn many(number: u64, one: &str, more: &str) -> String {
    let what = if number == 1 { one } else { more };
    format!("{} {what}", count(number))
}

/// A time as its two largest units: `350 ms`, `12.3 s`, `4 min 10 s`, `3 h 5 min`.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A moment in UTC from ms since 1970: `2026-11-25T09:37:41.250Z`; `none` for what Kafka writes
/// where there is none, and the number itself for what no calendar of four digits has.
pub(super) fn instant(ms: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    const YEAR_10000_MS: i64 = 253_402_300_800_000;
    match ms {
        -1 => return "none".to_owned(),
        0..YEAR_10000_MS => {}
        _ => return format!("{ms} ms"),
    }
    let (year, month, day) = date(ms / DAY_MS);
    let of_day = ms % DAY_MS;
    let (seconds, ms) = (of_day / 1000, of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of so many days after the first of January 1970.
fn date(days: i64) -> (i64, i64, i64) {
    const MONTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    // Cycles of 400 years are all alike; 1600 begins one.
    const CYCLE_DAYS: i64 = 146_097;
    let from_1600 = days + 135_140;
    let mut year = 1600 + from_1600 / CYCLE_DAYS * 400;
    let mut left = from_1600 % CYCLE_DAYS;
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    loop {
        let length = 365 + i64::from(is_leap(year));
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let mut month = 0;
    for (nth, days) in MONTHS.into_iter().enumerate() {
        let days = days + i64::from(nth == 1 && is_leap(year));
        month += 1;
        if left < days {
            break;
        }
        left -= days;
    }
    (year, month, left + 1)
}

/// A name in at most so many characters, at least three: of a longer one, beginning and end.
pub(super) fn shortened(name: &str, characters: usize) -> String {
    let count = name.chars().count();
    if count <= characters {
        return name.to_owned();
    }
    let kept = characters - 1;
    let end = kept / 2;
    let front = name.chars().take(kept - end);
    let back = name.chars().skip(count - end);
    front.chain(['…']).chain(back).collect()
}

/// Names in at most so many characters each, at least nine, no two of them alike: of those that
/// differ in their middle alone, the place where they part is shown too. Where even that tells none
/// from the other, they stay as they are.
pub(super) fn distinct(names: &[&str], characters: usize) -> Vec<String> {
    let short = names.iter().map(|name| shortened(name, characters));
    let mut shown: Vec<String> = short.collect();
    for twins in twins(&shown) {
        let alike: Vec<&str> = twins.iter().map(|nth| names[*nth]).collect();
        let parted = common(&alike);
        for nth in twins {
            shown[nth] = around(names[nth], parted, characters);
        }
    }
    for nth in twins(&shown).into_iter().flatten() {
        shown[nth] = names[nth].to_owned();
    }
    shown
}

/// The places of those that are alike, group by group.
fn twins(all: &[String]) -> Vec<Vec<usize>> {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (nth, one) in all.iter().enumerate() {
        places.entry(one).or_default().push(nth);
    }
    places
        .into_values()
        .filter(|group| group.len() > 1)
        .collect()
}

/// Characters with which all of these begin.
fn common(names: &[&str]) -> usize {
    let (first, others) = names.split_first().expect("there are some");
    let alike = |nth: usize, letter: char| {
        let mut others = others.iter();
        others.all(|other| other.chars().nth(nth) == Some(letter))
    };
    let letters = first.chars().enumerate();
    letters
        .take_while(|(nth, letter)| alike(*nth, *letter))
        .count()
}

/// A name that is longer: its beginning, what stands from `at` on, and its end.
fn around(name: &str, at: usize, characters: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    let piece = (characters - 2) / 3;
    let front = &letters[..characters - 2 - 2 * piece];
    let middle = at.clamp(front.len(), letters.len() - 2 * piece);
    let (middle, end) = (
        &letters[middle..middle + piece],
        &letters[letters.len() - piece..],
    );
    [front, &['…'], middle, &['…'], end]
        .concat()
        .into_iter()
        .collect()
}

/// Columns under their heads: the first to the left, the others to the right.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(nth, (cell, width))| match nth {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(heads.to_vec())];
    lines.extend(
        rows.iter()
            .map(|row| line(row.iter().map(String::as_str).collect())),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "253402300800000 ms"),
            (-1, "none"),
            (i64::MIN, "-9223372036854775808 ms"),
        ];
        for (ms, text) in cases {
            assert_eq!(instant(ms), text);
        }
    }

    #[test]
    fn long_names_keep_beginning_and_end() {
        assert_eq!(shortened("orders", 6), "orders");
        assert_eq!(shortened("orders-2", 6), "ord…-2");
        assert_eq!(shortened("orders-2", 7), "ord…s-2");
        assert_eq!(shortened("größer", 5), "gr…er");
        assert_eq!(shortened(&"x".repeat(249), 40).chars().count(), 40);
    }

    #[test]
    fn names_that_differ_in_their_middle_do_not_look_alike() {
        let name = |middle: &str| format!("{}{middle}{}", "a".repeat(60), "z".repeat(60));
        let names = ["-eu-west-", "-eu-east-", "-us-west-"].map(name);
        let names: Vec<&str> = names.iter().map(String::as_str).chain(["short"]).collect();
        let shown = distinct(&names, 48);
        for (nth, region) in ["eu-w", "eu-e", "us-w"].iter().enumerate() {
            assert!(shown[nth].contains(region), "{shown:?}");
            assert_eq!(shown[nth].chars().count(), 48);
        }
        assert_eq!(shown[3], "short");
        // They part at one place, and two of them once more, far behind it.
        let name = |one: &str, two: &str| {
            let [a, b, c] = ["a", "b", "c"].map(|letter| letter.repeat(60));
            format!("{a}{one}{b}{two}{c}")
        };
        let names = [name("1", "3"), name("1", "4"), name("2", "3")];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let shown = distinct(&names, 48);
        assert_eq!(shown[0], names[0]);
        assert_eq!(shown[1], names[1]);
        assert_eq!(shown[2].chars().count(), 48);
        for length in 48..70 {
            let name = |letter: &str| format!("{}{letter}{}", "x".repeat(length), "y".repeat(30));
            let names = [name("1"), name("2")];
            let shown = distinct(&[&names[0], &names[1]], 48);
            assert_ne!(shown[0], shown[1]);
        }
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(time(Duration::from_millis(350)), "350 ms");
        assert_eq!(time(Duration::from_secs(250)), "4 min 10 s");
        assert_eq!(rate(2048, Duration::from_secs(2)), "1.0 KiB/s");
        let rows = [
            vec!["a".to_owned(), "10".to_owned()],
            vec!["bcd".to_owned(), "2".to_owned()],
        ];
        assert_eq!(table(&["n", "k"], &rows), "n     k\na    10\nbcd   2");
    }
}
