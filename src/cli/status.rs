//! `gatepost status`: how the process does, in a line and an exit status as monitoring plugins have them.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::units::duration_text;

use super::Failure;
use super::endpoint::Endpoint;
use super::screen::{Format, Screen, count, one_line};

/// A certificate that ends sooner than this is a warning.
const CERTIFICATES: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Decisions that were lost within this time are a warning.
const LOSSES: Duration = Duration::from_secs(60 * 60);

/// How it does, the worst last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Level {
    Ok,
    Warning,
    Critical,
}

/// Shows how it does. The exit status is 0 when all is well, 1 for a warning, 2 for what keeps mail from flowing, 3 when it cannot be
/// asked, for whatever reason.
pub(super) fn status(
    endpoint: Result<Endpoint, Failure>,
    format: Format,
    screen: Screen,
) -> Result<(), Failure> {
    let status: Value = match endpoint.and_then(|endpoint| endpoint.see("/status")) {
        Ok(status) => status,
        Err(Failure::Untold(error) | Failure::NoDaemon(error)) if format == Format::Text => {
            // Monitoring shows the first line of the answer, and not what stands where errors are.
            screen.say(&format!("UNKNOWN: {}", one_line(&error)));
            return Err(Failure::Answered(3));
        }
        Err(Failure::Untold(error)) => return Err(Failure::NoDaemon(error)),
        Err(failure) => return Err(failure),
    };
    let found = findings(&status, SystemTime::now());
    let level = found.iter().map(|(level, _)| *level).max().unwrap_or(Level::Ok);
    match format {
        Format::Json => screen.say_json(&format!("{status:#}")),
        Format::Text => screen.say(&line(&status, &found, level)),
    }
    match level {
        Level::Ok => Ok(()),
        Level::Warning => Err(Failure::Answered(1)),
        Level::Critical => Err(Failure::Answered(2)),
    }
}

fn line(status: &Value, found: &[(Level, String)], level: Level) -> String {
    let word = match level {
        Level::Ok => "OK",
        Level::Warning => "WARNING",
        Level::Critical => "CRITICAL",
    };
    let sessions: u64 = list(status, "listeners").map(|listener| number(listener, "sessions")).sum();
    let mut parts: Vec<String> = found.iter().map(|(_, text)| text.clone()).collect();
    parts.push(count(usize::try_from(sessions).unwrap_or(usize::MAX), "session"));
    parts.push(format!("policies {}", text(status, "generation")));
    format!("{word}: {}", parts.join(", "))
}

/// What is not as it should be.
fn findings(status: &Value, now: SystemTime) -> Vec<(Level, String)> {
    let mut found = Vec::new();
    match text(status, "phase") {
        "serving" => {}
        phase => found.push((Level::Critical, format!("it is {phase}"))),
    }
    let upstreams: Vec<&Value> = list(status, "upstreams").collect();
    let down: Vec<&&Value> = upstreams.iter().filter(|upstream| upstream["up"] != true).collect();
    let level = if down.len() == upstreams.len() { Level::Critical } else { Level::Warning };
    found.extend(down.iter().map(|upstream| (level, format!("upstream {} is down", text(upstream, "name")))));
    found.extend(props(status, now));
    for (kind, why) in status["refused"].as_object().into_iter().flatten() {
        let why = why.as_str().unwrap_or_default();
        found.push((Level::Warning, format!("the last reload of {kind} was refused: {why}")));
    }
    // Not a warning: whoever puts it off knows, and is only to be reminded.
    let waiting: Vec<&str> = list(status, "waiting").filter_map(Value::as_str).collect();
    if !waiting.is_empty() {
        found.push((
            Level::Ok,
            format!("what was changed in {} waits for the next start", waiting.join(", ")),
        ));
    }
    for listener in list(status, "listeners") {
        let (open, most) = (number(listener, "sessions"), number(listener, "sessions_limit"));
        if open.saturating_mul(10) >= most.saturating_mul(9) {
            found.push((Level::Warning, format!("{} has {open} of {most} sessions", text(listener, "name"))));
        }
        if let Some(end) = listener["certificates_end"].as_u64() {
            found.extend(ending(text(listener, "name"), end, now));
        }
    }
    found
}

/// What policies and the operator lean on, and mail can do without.
fn props(status: &Value, now: SystemTime) -> impl Iterator<Item = (Level, String)> {
    let lost = status["decisions_lost_at"].as_u64().and_then(|at| since(at, now));
    let lost = lost.filter(|ago| *ago < LOSSES).map(|_| {
        let all = count(usize::try_from(number(status, "decisions_lost")).unwrap_or(usize::MAX), "decision");
        format!("{all} lost since the start, the last within the hour")
    });
    let store = (status["store_up"] == false).then(|| "the store of policies' memory is down".to_owned());
    let dns = (status["dns_failing"] == true).then(|| "DNS answers nothing any more".to_owned());
    [store, dns, lost].into_iter().flatten().map(|text| (Level::Warning, text))
}

/// How long ago that was; nothing for what is still to come.
fn since(at: u64, now: SystemTime) -> Option<Duration> {
    now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(at)).ok()
}

fn ending(listener: &str, end: u64, now: SystemTime) -> Option<(Level, String)> {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(end);
    match end.duration_since(now) {
        Err(_) => Some((Level::Critical, format!("a certificate of {listener} has ended"))),
        Ok(left) if left < CERTIFICATES => {
            let days = Duration::from_secs(left.as_secs() / 86_400 * 86_400);
            Some((Level::Warning, format!("a certificate of {listener} ends in {}", duration_text(days))))
        }
        Ok(_) => None,
    }
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_worst_counts() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let good = json!({
            "phase": "serving", "refused": {}, "waiting": [], "store_up": true, "dns_failing": false, "decisions_lost": 7,
            "decisions_lost_at": 999_000_000, "upstreams": [{ "name": "main", "up": true }],
            "listeners": [{ "name": "mx", "sessions": 1, "sessions_limit": 100, "certificates_end": 2_000_000_000 }],
        });
        assert!(findings(&good, now).is_empty());
        let with = |pointer: &str, value: Value| {
            let mut changed = good.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            findings(&changed, now)
        };
        for (pointer, value, level, words) in [
            ("/phase", json!("draining"), Level::Critical, "it is draining"),
            ("/upstreams/0/up", json!(false), Level::Critical, "upstream main is down"),
            ("/refused", json!({ "config": "x.yaml:3:1: no" }), Level::Warning, "x.yaml:3:1: no"),
            ("/waiting", json!(["admin", "state"]), Level::Ok, "in admin, state waits for the next start"),
            ("/store_up", json!(false), Level::Warning, "the store of policies' memory is down"),
            ("/dns_failing", json!(true), Level::Warning, "DNS answers nothing"),
            ("/decisions_lost_at", json!(999_999_999), Level::Warning, "7 decisions lost since the start"),
            ("/listeners/0/sessions", json!(90), Level::Warning, "mx has 90 of 100"),
            ("/listeners/0/certificates_end", json!(1_000_200_000), Level::Warning, "ends in 2d"),
            ("/listeners/0/certificates_end", json!(999_999_999), Level::Critical, "has ended"),
        ] {
            let found = with(pointer, value);
            assert_eq!(found.len(), 1, "{pointer}: {found:?}");
            assert!(found[0].0 == level && found[0].1.contains(words), "{found:?}");
        }
    }
}
