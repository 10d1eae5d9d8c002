//! `policies.exceptions`: conditions and days. What they soften is for those who load the policies.

use crate::diagnostic::Position;
use crate::policy::judgement::Mode;
use crate::policy::sources::{ExceptionSource, Places, day};

use super::super::raw;
use super::super::read::{OneOrMore, Placed};
use super::super::report::Report;

/// Every exception, with the places of its keys below its number.
pub(super) fn all(
    raw: Vec<Placed<raw::Exception>>,
    places: &mut Places,
    report: &mut Report,
) -> Vec<ExceptionSource> {
    let mut exceptions = Vec::new();
    for exception in raw {
        let number = exceptions.len();
        let mut take = |key: &str, place: Position| {
            places.keys.insert(format!("policies.exceptions.{number}.{key}"), place);
        };
        exceptions.extend(one(exception, &mut take, report));
    }
    exceptions
}

/// One exception; the places of its keys go to `take`.
fn one(
    raw: Placed<raw::Exception>,
    take: &mut impl FnMut(&str, Position),
    report: &mut Report,
) -> Option<ExceptionSource> {
    let Placed { value: raw, place } = raw;
    let target = target(&raw, place, report);
    let until = raw.until.as_ref().and_then(|until| {
        take("until", until.place);
        let day = day(&until.value);
        if day.is_none() {
            report.error_with_help(
                until.place,
                format!("`{}` is no day", until.value),
                "write it as `2027-03-31`",
            );
        }
        day
    });
    for (key, place) in [
        ("mode", raw.mode.as_ref().map(|mode| mode.place)),
        ("recipients", raw.recipients.as_ref().map(|recipients| recipients.place)),
        ("listeners", raw.listeners.as_ref().map(|listeners| listeners.place)),
        ("target", target.as_ref().map(|target| target.place)),
    ] {
        place.into_iter().for_each(|place| take(key, place));
    }
    Some(ExceptionSource {
        target: target?.value,
        mode: raw.mode.map_or(Mode::Shadow, |mode| mode.value),
        clients: values(raw.clients),
        recipients: values(raw.recipients),
        listeners: values(raw.listeners),
        until,
        why: raw.why.map(|why| why.value).unwrap_or_default(),
    })
}

/// `rule` or `policy`, one of which must be there.
fn target(raw: &raw::Exception, place: Position, report: &mut Report) -> Option<Placed<String>> {
    match (&raw.rule, &raw.policy) {
        (Some(rule), None) if !rule.value.contains('.') => {
            let help = format!("write `policy: {}` for all of its rules", rule.value);
            report.error_with_help(rule.place, format!("`{}` is no rule", rule.value), help);
            None
        }
        (Some(target), None) | (None, Some(target)) => Some(target.clone()),
        (Some(rule), Some(_)) => {
            report.error(rule.place, "`rule` and `policy` cannot stand together");
            None
        }
        (None, None) => {
            let help = "`rule: helo.not-fqdn`, or `policy: helo` for all of its rules";
            report.error_with_help(place, "an exception names a rule or a policy", help);
            None
        }
    }
}

fn values<T>(raw: Option<Placed<OneOrMore<T>>>) -> Vec<T> {
    raw.map(|raw| raw.value.0).unwrap_or_default()
}
