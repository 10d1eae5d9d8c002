//! Sizes, durations and networks as scripts take them.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::question::RateLimit;
use crate::units;

/// Octets: `25MiB`, `25MB`, `512B`.
pub(super) fn bytes(text: &str) -> Option<i64> {
    units::parse_size(text).ok()?.try_into().ok()
}

/// Whole seconds: `30s`, `10m`, `24h`, `7d`; parts of one are dropped.
pub(super) fn seconds(text: &str) -> Option<i64> {
    units::parse_duration(text).ok()?.as_secs().try_into().ok()
}

/// A network, or a single address as a network of its own. IPv4-mapped addresses are IPv4.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let single = || text.parse::<IpAddr>().ok().map(|ip| IpNet::from(ip.to_canonical()));
    text.parse::<IpNet>().ok().map(|network| network.trunc()).or_else(single)
}

/// A time: `30s`, `10m`, `24h`, `7d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    units::parse_duration(text).ok()
}

/// Limits that one rate can have.
const MAX_LIMITS: usize = 4;
/// The longest time that a rate can be about.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// How many of something in which time: `60/m`, `100/10m`, or several with commas between, each with a time of its own.
pub(super) fn rates(text: &str) -> Option<Vec<RateLimit>> {
    let limits: Vec<_> = text.split(',').map(|part| rate(part.trim())).collect::<Option<_>>()?;
    let is_new = |(at, limit): (usize, &RateLimit)| {
        !limits.iter().take(at).any(|earlier| earlier.period == limit.period)
    };
    let fits = limits.len() <= MAX_LIMITS && limits.iter().enumerate().all(is_new);
    fits.then_some(limits)
}

fn rate(text: &str) -> Option<RateLimit> {
    let (number, time) = text.split_once('/')?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let count = number.parse().ok().filter(|count| digits && *count > 0)?;
    let whole =
        if time.starts_with(|c: char| c.is_ascii_digit()) { time.to_owned() } else { format!("1{time}") };
    let period = units::parse_duration(&whole).ok()?;
    (period >= Duration::from_secs(1) && period <= LONGEST).then_some(RateLimit { count, period })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_rates() {
        let limit = |count, seconds| RateLimit { count, period: Duration::from_secs(seconds) };
        for (text, limits) in [
            ("60/m", vec![limit(60, 60)]),
            ("1/s", vec![limit(1, 1)]),
            ("100/10m", vec![limit(100, 600)]),
            ("20/m, 200/h,1000/d", vec![limit(20, 60), limit(200, 3_600), limit(1_000, 86_400)]),
        ] {
            assert_eq!(rates(text), Some(limits), "{text}");
        }
        for text in [
            "",
            "60",
            "/m",
            "0/m",
            "+6/m",
            "-1/m",
            "60/",
            "60/x",
            "60/500ms",
            "60/ms",
            "60/0s",
            "60/400d",
            "4294967296/m",
            "6/m,",
            "6/m, 7/60s",
            "1/s,1/m,1/h,1/d,1/2d",
            "60 / m",
        ] {
            assert_eq!(rates(text), None, "{text}");
        }
    }
}
