//! Times as people write them.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

use crate::units::parse_duration;

/// `2026-11-29T12:00:00Z`; a day, from its beginning in UTC; or `2h`, so long ago.
///
/// # Errors
/// It is none of these, or lies before all time.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if let Ok(midnight) = format!("{text}T00:00:00Z").parse() {
        return Ok(midnight);
    }
    let ago = parse_duration(text).map_err(|_| {
        "write it as `2026-11-29T12:00:00Z` or `2026-11-29`, in UTC, or as `2h` for two hours ago".to_owned()
    })?;
    Timestamp::now().checked_sub(ago).map_err(|_| "that is before all time".to_owned())
}

/// A field that holds one.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| moment(&text)).transpose().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_a_day_or_so_long_ago() {
        assert!(moment("2h").unwrap() < Timestamp::now());
        assert_eq!(moment("2026-11-29").unwrap(), moment("2026-11-29T00:00:00Z").unwrap());
        assert!(moment("8000000d").unwrap_err().contains("before all time"));
        assert!(moment("yesterday").unwrap_err().contains("2h"));
    }
}
