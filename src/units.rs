//! Sizes, durations and rates as the operator writes them: a whole number and a unit, `25MiB`, `30s` or `60/m`.

use std::time::Duration;

/// Why a text is no size or no duration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct UnitError {
    /// What is wrong; quotes a part of the text.
    pub message: String,
    /// The way out, with the number that was written.
    pub help: String,
}

/// A kind of quantity.
struct Scale {
    what: &'static str,
    /// Each unit with what it counts in the smallest. Of two with the same first letter, the one to propose comes
    /// first.
    units: &'static [(&'static str, u64)],
    /// The unit that a number without one was probably meant in.
    usual: &'static str,
}

const SIZE: Scale = Scale {
    what: "size",
    units: &[
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
    ],
    usual: "MiB",
};

const TIME: Scale = Scale {
    what: "time",
    units: &[("m", 60_000), ("ms", 1), ("s", 1_000), ("h", 3_600_000), ("d", 86_400_000)],
    usual: "s",
};

/// The number of bytes that `text` means.
///
/// # Errors
/// When there is no number, no unit, or more than a `u64` holds.
pub(crate) fn parse_size(text: &str) -> Result<u64, UnitError> {
    SIZE.parse(text)
}

/// The time that `text` means; milliseconds are the finest.
///
/// # Errors
/// When there is no number, no unit, or more milliseconds than a `u64` holds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    TIME.parse(text).map(Duration::from_millis)
}

/// How many of something in which time `text` means: `60/m`.
///
/// # Errors
/// When there is no number above 0, no unit, or one that no rate has.
pub(crate) fn parse_rate(text: &str) -> Result<(u32, Duration), UnitError> {
    let error = |message: String| UnitError {
        message,
        help: "write `60/m`, or `off`; units are s, m and h".to_owned(),
    };
    let (number, unit) = text.split_once('/').ok_or_else(|| error(format!("`{text}` is not a rate")))?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(error(format!("`{unit}` is not a unit of rate"))),
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { number.parse().ok() } else { None };
    match number {
        Some(0) => Err(error("a rate of 0 lets nobody in".to_owned())),
        Some(number) => Ok((number, Duration::from_secs(seconds))),
        None => Err(error(format!("`{text}` is not a number of times"))),
    }
}

/// The bytes a second that `text` means: `100B/s`.
///
/// # Errors
/// When it is no size with `/s` behind it.
pub(crate) fn parse_data_rate(text: &str) -> Result<u64, UnitError> {
    let help = || "write a size each second, such as `100B/s`, or `off`".to_owned();
    match text.strip_suffix("/s") {
        Some(size) => parse_size(size).map_err(|error| UnitError { help: help(), ..error }),
        None => Err(UnitError { message: "expected a size each second".to_owned(), help: help() }),
    }
}

/// `bytes` with the largest unit that divides it, as [`parse_size`] reads it.
pub(crate) fn size_text(bytes: u64) -> String {
    SIZE.write(bytes)
}

/// `duration` with the largest unit that divides it, as [`parse_duration`] reads it.
pub(crate) fn duration_text(duration: Duration) -> String {
    TIME.write(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

impl Scale {
    fn parse(&self, text: &str) -> Result<u64, UnitError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(self.error("expected a whole number and a unit".to_owned(), "30", self.usual));
        }
        if unit.is_empty() {
            return Err(self.error(format!("`{number}` has no unit"), number, self.usual));
        }
        if unit.starts_with(['.', ',']) {
            let help = "write a whole number of a smaller unit".to_owned();
            return Err(UnitError { message: "the number is not a whole one".to_owned(), help });
        }
        let Some((_, factor)) = self.units.iter().find(|(name, _)| *name == unit) else {
            let message = format!("`{}` is not a unit of {}", unit.trim(), self.what);
            return Err(self.error(message, number, self.meant(unit.trim())));
        };
        let amount = number.parse().ok().and_then(|number: u64| number.checked_mul(*factor));
        amount.ok_or_else(|| self.error("the number is too large".to_owned(), "30", unit))
    }

    fn error(&self, message: String, number: &str, unit: &str) -> UnitError {
        let (last, others) = self.units.split_last().map_or(("", self.units), |(last, rest)| (last.0, rest));
        let others = others.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        UnitError { message, help: format!("write `{number}{unit}`; units are {others} and {last}") }
    }

    /// The unit that `found` was probably meant to be: the same but for case (`mb`), the longest that it begins with
    /// (`sec`), or the first with its first letter (`M`).
    fn meant(&self, found: &str) -> &'static str {
        let found = found.to_ascii_lowercase();
        let names = || self.units.iter().map(|(name, _)| (*name, name.to_ascii_lowercase()));
        let same = || names().find(|(_, lower)| *lower == found);
        let longest =
            || names().filter(|(_, lower)| found.starts_with(lower)).max_by_key(|(_, lower)| lower.len());
        let first = || names().find(|(_, lower)| lower.chars().next() == found.chars().next());
        same().or_else(longest).or_else(first).map_or(self.usual, |(name, _)| name)
    }

    fn write(&self, amount: u64) -> String {
        let fits = |(_, factor): &&(&str, u64)| amount.is_multiple_of(*factor);
        let largest = |&(_, factor): &&(&str, u64)| if amount == 0 { u64::MAX - factor } else { *factor };
        let (unit, factor) = self.units.iter().filter(fits).max_by_key(largest).unwrap_or(&("", 1));
        format!("{}{unit}", amount / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("0B", 0),
            ("512B", 512),
            ("64KiB", 65_536),
            ("25MiB", 26_214_400),
            ("25MB", 25_000_000),
            ("1GiB", 1 << 30),
            ("18446744073709551615B", u64::MAX),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn durations() {
        let cases = [
            ("0s", 0),
            ("10ms", 10),
            ("30s", 30_000),
            ("5m", 300_000),
            ("8h", 28_800_000),
            ("30d", 2_592_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(expected)), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_and_proposes_what_was_meant() {
        let size = |text: &str| parse_size(text).unwrap_err();
        let time = |text: &str| parse_duration(text).unwrap_err();
        let cases = [
            (size("25"), "`25` has no unit", "`25MiB`"),
            (size("25M"), "`M` is not a unit of size", "`25MiB`"),
            (size("25mb"), "`mb` is not a unit of size", "`25MB`"),
            (size("25 MiB"), "`MiB` is not a unit of size", "`25MiB`"),
            (size("25kilo"), "`kilo` is not", "`25KiB`"),
            (size("25x"), "`x` is not", "`25MiB`"),
            (size("1.5MiB"), "not a whole one", "smaller unit"),
            (size("-1MiB"), "expected a whole number", "`30MiB`"),
            (size(""), "expected a whole number", "`30MiB`"),
            (size("MiB"), "expected a whole number", "`30MiB`"),
            (size("99999999999999999999B"), "too large", "`30B`"),
            (size("18446744073709551615GiB"), "too large", "`30GiB`"),
            (time("300"), "`300` has no unit", "`300s`"),
            (time("30sec"), "`sec` is not a unit of time", "`30s`"),
            (time("5min"), "`min` is not", "`5m`"),
            (time("5msec"), "`msec` is not", "`5ms`"),
            (time("1h30m"), "`h30m` is not", "`1h`"),
        ];
        for (error, message, help) in cases {
            assert!(error.message.contains(message), "{error:?} / {message}");
            assert!(error.help.contains(help), "{error:?} / {help}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(parse_rate("60/m"), Ok((60, Duration::from_secs(60))));
        assert_eq!(parse_rate("1/s"), Ok((1, Duration::from_secs(1))));
        assert_eq!(parse_rate("100/h"), Ok((100, Duration::from_secs(3_600))));
        for wrong in ["60", "60/d", "0/s", "/s", "-1/s", "+1/s", "1.5/s", "99999999999/s", "60 / m", ""] {
            assert!(parse_rate(wrong).unwrap_err().help.contains("`60/m`"), "{wrong}");
        }
        assert_eq!(parse_data_rate("100B/s"), Ok(100));
        assert_eq!(parse_data_rate("2KiB/s"), Ok(2_048));
        for wrong in ["100", "100B", "100/s", "B/s", "100B/m", "100b/s"] {
            assert!(parse_data_rate(wrong).unwrap_err().help.contains("`100B/s`"), "{wrong}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["0B", "1B", "64KiB", "25MB", "25MiB", "3GiB"] {
            assert_eq!(size_text(parse_size(text).unwrap()), text);
        }
        for text in ["0ms", "1ms", "30s", "5m", "8h", "30d", "90s"] {
            assert_eq!(duration_text(parse_duration(text).unwrap()), text);
        }
    }
}
