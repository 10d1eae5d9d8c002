//! `state`: which store, where it is, and how it is reached.

use std::time::Duration;

use super::super::raw;
use super::super::read::Placed;
use super::super::report::Report;
use super::{count, duration, secret, size};
use crate::state::{Capacity, DEFAULT_DEADLINE, DEFAULT_PORT, Password, Settings, Target, Trust};
use crate::{files, permissions};

/// The largest file of authorities, in octets: a hundred times those of a Debian system.
const LONGEST_PEM: u64 = 32 << 20;
const HELP: &str = "write `embedded:PATH`, `redis://HOST:PORT/0`, `rediss://HOST:PORT/0` (TLS) or `redis+cluster://HOST:PORT,HOST:PORT`";

/// What the section says; memory only where there is none.
pub(super) fn settings(raw: Option<raw::State>, report: &mut Report) -> Option<Settings> {
    let Some(raw) = raw else { return Some(Settings::default()) };
    let at = raw.at.as_ref()?;
    let Some((scheme, rest)) = at.value.split_once(':').filter(|(_, rest)| !rest.is_empty()) else {
        report.error_with_help(at.place, "expected the place of a store", HELP);
        return None;
    };
    let kind = match scheme {
        "embedded" => return embedded(&raw, at, report),
        "redis" => Kind { tls: false, cluster: false },
        "rediss" => Kind { tls: true, cluster: false },
        "redis+cluster" => Kind { tls: false, cluster: true },
        "rediss+cluster" => Kind { tls: true, cluster: true },
        _ => {
            report.error_with_help(at.place, format!("`{scheme}:` is no kind of store"), HELP);
            return None;
        }
    };
    redis(&raw, at, rest, kind, report)
}

#[derive(Clone, Copy)]
struct Kind {
    tls: bool,
    cluster: bool,
}

fn embedded(raw: &raw::State, at: &Placed<String>, report: &mut Report) -> Option<Settings> {
    let unused = [
        ("user", raw.user.as_ref().map(|it| it.place)),
        ("password", raw.password.as_ref().map(|it| it.place)),
        ("ca", raw.ca.as_ref().map(|it| it.place)),
        ("timeout", raw.timeout.as_ref().map(|it| it.place)),
    ];
    for (key, place) in unused {
        if let Some(place) = place {
            report.error(place, format!("`{key}` is for a Redis; an embedded store has none"));
        }
    }
    let path = at.value.strip_prefix("embedded:").unwrap_or_default();
    let folder = report.resolve(path.as_ref());
    if folder.exists() && !folder.is_dir() {
        report.error(at.place, format!("{}: this is no folder", folder.display()));
        return None;
    }
    let default = Capacity::default();
    let capacity = Capacity {
        records: count(raw.max_records.clone(), default.records, 100_000_000, report),
        octets: usize::try_from(size(raw.memory.clone(), default.octets as u64, 1 << 20, 1 << 40, report))
            .unwrap_or(usize::MAX),
    };
    Some(Settings::Embedded(folder, capacity))
}

fn redis(
    raw: &raw::State,
    at: &Placed<String>,
    rest: &str,
    kind: Kind,
    report: &mut Report,
) -> Option<Settings> {
    let unused = [
        ("max_records", raw.max_records.as_ref().map(|it| it.place)),
        ("memory", raw.memory.as_ref().map(|it| it.place)),
    ];
    for (key, place) in unused {
        if let Some(place) = place {
            let help = "set `maxmemory` and `maxmemory-policy volatile-ttl` there";
            report.error_with_help(place, format!("`{key}` is the server's to say"), help);
        }
    }
    let target = Target {
        cluster: kind.cluster,
        tls: trust(raw, kind, report),
        user: raw.user.as_ref().map(|user| user.value.clone()).unwrap_or_default(),
        password: raw
            .password
            .as_ref()
            .and_then(|password| Some(Password::new(&secret::text(password, report)?))),
        ..nodes(at, rest, kind, report)?
    };
    let is_near = |(host, _): &(String, u16)| {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    if target.password.is_some() && !kind.tls && !target.nodes.iter().all(is_near) {
        let help = "use `rediss://`, or a network that nobody else hears";
        report.warning(at.place, "the store's password crosses the network in the clear", help);
    }
    let deadline = duration(raw.timeout.clone(), DEFAULT_DEADLINE, Duration::from_millis(10), 30, report);
    Some(Settings::Redis { target, deadline })
}

fn trust(raw: &raw::State, kind: Kind, report: &mut Report) -> Option<Trust> {
    let Some(ca) = &raw.ca else { return kind.tls.then_some(Trust::System) };
    if !kind.tls {
        report.error_with_help(ca.place, "`ca` is for TLS", "use `rediss://` or `rediss+cluster://`");
        return None;
    }
    let path = report.resolve(&ca.value);
    if let Err(exposed) = permissions::unchangeable(&path) {
        report.error_with_help(ca.place, exposed.to_string(), exposed.fix());
        return None;
    }
    match files::read(&path, LONGEST_PEM) {
        Ok(pem) => Some(Trust::Authorities(pem)),
        Err(error) => {
            report.error(ca.place, format!("{}: {error}", path.display()));
            None
        }
    }
}

/// `//HOST:PORT,HOST:PORT/DATABASE`.
fn nodes(at: &Placed<String>, rest: &str, kind: Kind, report: &mut Report) -> Option<Target> {
    if rest.contains('@') {
        let help = "write `state: { at: ..., user: NAME, password: { file: PATH } }`";
        // Without its place: the line would be shown, and the password with it.
        report.add(None, "state: a password does not stand in an address".to_owned(), Some(help.to_owned()));
        return None;
    }
    let Some(rest) = rest.strip_prefix("//") else {
        report.error_with_help(at.place, "`//` is missing before the host", HELP);
        return None;
    };
    let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
    let database = if database.is_empty() { Some(0) } else { database.parse().ok() };
    let nodes: Option<Vec<_>> = hosts.split(',').map(node).collect();
    let (Some(nodes), Some(database)) = (nodes, database) else {
        report.error_with_help(at.place, "expected the address of a Redis", HELP);
        return None;
    };
    if !kind.cluster && nodes.len() > 1 {
        let help = "of several that are no cluster, name the one that takes writes";
        report.error_with_help(at.place, "several addresses are those of a cluster", help);
        return None;
    }
    if kind.cluster && database != 0 {
        report.error(at.place, "a cluster has one database, 0".to_owned());
        return None;
    }
    Some(Target { nodes, cluster: kind.cluster, database, tls: None, user: String::new(), password: None })
}

fn node(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    if host.is_empty() || !host.chars().all(is_host) {
        return None;
    }
    let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok().filter(|port| *port > 0))?;
    Some((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_with_and_without_port() {
        for (text, host, port) in [
            ("redis", "redis", 6379),
            ("10.0.0.1:7000", "10.0.0.1", 7000),
            ("[::1]", "::1", 6379),
            ("[2001:db8::1]:7000", "2001:db8::1", 7000),
        ] {
            assert_eq!(node(text), Some((host.to_owned(), port)), "{text}");
        }
        for text in ["", ":1", "a:0", "a:x", "a:70000", "[::1", "[::1]7", "a b", "a?x"] {
            assert_eq!(node(text), None, "{text}");
        }
    }
}
