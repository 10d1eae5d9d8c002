//! Routes: which domains' mail goes to another upstream than the listener's.

use std::collections::HashMap;

use crate::diagnostic::Position;
use crate::smtp::domains::DomainSet;

use super::super::raw;
use super::super::read::{Named, Placed};
use super::super::report::Report;
use super::super::tree::Key;
use super::{listener, name};

/// Every route: a domain as in `domains`, and the name of an upstream. `None` when one is broken.
pub(super) fn all(
    raw: Option<&Named<Placed<String>>>,
    domains: Option<&[String]>,
    upstreams: Option<&Named<raw::Upstream>>,
    report: &mut Report,
) -> Option<Vec<(String, String)>> {
    let Some(raw) = raw else { return Some(Vec::new()) };
    let mut seen = HashMap::new();
    let built: Vec<_> = raw
        .0
        .iter()
        .map(|(key, upstream)| {
            let domain = name::domain_pattern(&key.name, key.place, report);
            let upstream = upstream.as_ref().and_then(|name| listener::upstream_of(name, upstreams, report));
            let domain = domain?;
            check_duplicate(key, &domain, &mut seen, report);
            if let Some(domains) = domains.filter(|domains| !is_covered(&domain, domains)) {
                check_is_ours(key, domains, report);
            }
            Some((domain, upstream?))
        })
        .collect();
    built.into_iter().collect()
}

/// The same domain in another spelling; twice the same key is found before.
fn check_duplicate(key: &Key, domain: &str, seen: &mut HashMap<String, Position>, report: &mut Report) {
    let first = *seen.entry(domain.to_owned()).or_insert(key.place);
    if first != key.place {
        let message = format!("`{}` has a route already", key.name);
        report.error_with_help(key.place, message, format!("the first is on line {}", first.line));
    }
}

fn check_is_ours(key: &Key, domains: &[String], report: &mut Report) {
    if domains.is_empty() {
        // Then everything is refused, which is said where it belongs.
        return;
    }
    let message = format!("`{}` has a route, but is none of our `domains`", key.name);
    let help = "mail for it is refused as relaying, except from trusted networks; add it to `domains`";
    report.warning(key.place, message, help);
}

/// Whether any mail that the route is for is ours.
fn is_covered(route: &str, domains: &[String]) -> bool {
    let ours: DomainSet = domains.iter().cloned().collect();
    match route.strip_prefix('.') {
        _ if route == "*" => true,
        Some(parent) => {
            ours.contains(&format!("any.{parent}")) || domains.iter().any(|domain| domain.ends_with(route))
        }
        None => ours.contains(route),
    }
}
