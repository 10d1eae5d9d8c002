//! Listeners.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::diagnostic::Position;
use crate::proxy::DEFAULT_HEADER_LIMIT;
use crate::server::Bounds;
use crate::session::{Inquiries, Inquiry, Limits, Terms, Timeouts};

use super::super::raw::{self, TlsMode};
use super::super::read::{Named, Placed, suggestion, within};
use super::super::ready::{Listener, ListenerTls};
use super::super::report::Report;
use super::super::tree::Key;
use super::{auth, count, duration, size, tls, whole};

/// Every listener; `None` when there is none, or one is broken.
pub(super) fn all(
    raw: &Named<raw::Listener>,
    hostname: &str,
    upstreams: Option<&Named<raw::Upstream>>,
    report: &mut Report,
) -> Option<Vec<Listener>> {
    if raw.0.is_empty() {
        report.add(None, "no listener is configured", None);
    }
    let built: Vec<_> = raw
        .0
        .iter()
        .map(|(key, raw)| {
            label(key, report);
            listener(key, raw.as_ref()?, hostname, upstreams, report)
        })
        .collect();
    built.into_iter().collect()
}

/// Checks a name that becomes the label of metrics.
pub(super) fn label(key: &Key, report: &mut Report) {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if key.name.len() > 64 || !key.name.chars().all(fits) {
        let message = "a name of letters, digits, `-` and `_` is needed here, at most 64 of them";
        report.error_with_help(key.place, message, "it is a label in the metrics");
    }
}

/// No two may listen on the same address.
pub(super) fn check_addresses(
    listeners: Option<&Named<raw::Listener>>,
    admin: Option<&Placed<SocketAddr>>,
    report: &mut Report,
) {
    let mut taken: HashMap<SocketAddr, Position> = HashMap::new();
    let of_listeners = listeners
        .into_iter()
        .flat_map(|listeners| &listeners.0)
        .filter_map(|(_, listener)| listener.as_ref()?.listen.as_ref())
        .flat_map(|addresses| &addresses.0);
    // Port 0 is a free one each time.
    for address in of_listeners.chain(admin).filter(|address| address.value.port() != 0) {
        let first = *taken.entry(address.value).or_insert(address.place);
        if first != address.place {
            let help = format!("the first is on line {}", first.line);
            let message = format!("the address `{}` is listened on twice", address.value);
            report.error_with_help(address.place, message, help);
        }
    }
}

fn listener(
    key: &Key,
    raw: &raw::Listener,
    hostname: &str,
    upstreams: Option<&Named<raw::Upstream>>,
    report: &mut Report,
) -> Option<Listener> {
    let addresses = raw.listen.as_ref().map(|listen| listen.0.iter().map(|address| address.value).collect());
    let upstream = raw.upstream.as_ref().and_then(|name| upstream_of(name, upstreams, report));
    let tls = raw.tls.as_ref().map_or(Some(ListenerTls::Off), |tls| tls::of_listener(tls, hostname, report));
    let tls_required = raw.tls.as_ref().is_some_and(|tls| tls.value.mode == Some(TlsMode::Required));
    let none = raw::Limits::default();
    let raw_limits = raw.limits.as_ref().unwrap_or(&none);
    let limits = limits_of(raw_limits, report);
    let bounds = bounds_of(raw_limits, report);
    let manners = super::arrival::manners(raw, &bounds, report);
    let header_limit =
        size(raw_limits.header_size.clone(), DEFAULT_HEADER_LIMIT as u64, 1 << 10, 16 << 20, report);
    let timeouts = raw.timeouts.as_ref().map_or_else(Timeouts::default, |raw| timeouts_of(raw, report));
    let auth = auth::terms(raw, upstreams, report);
    Some(Listener {
        name: key.name.clone(),
        addresses: addresses?,
        upstream: upstream?,
        tls: tls?,
        manners,
        terms: Terms {
            hostname: hostname.to_owned(),
            limits,
            timeouts,
            tls_required,
            auth,
            inquiries: inquiries_of(raw.inquiries.as_ref(), report),
        },
        bounds,
        header_limit: whole(header_limit),
    })
}

/// The upstream with this name, if there is one.
pub(super) fn upstream_of(
    name: &Placed<String>,
    upstreams: Option<&Named<raw::Upstream>>,
    report: &mut Report,
) -> Option<String> {
    // Without that section there is nothing to compare with, and its absence is reported already.
    let Some(upstreams) = upstreams else { return Some(name.value.clone()) };
    let known: Vec<&str> = upstreams.names().collect();
    if known.contains(&name.value.as_str()) {
        return Some(name.value.clone());
    }
    let message = format!("there is no upstream `{}`", name.value);
    report.error_with_help(name.place, message, suggestion(&name.value, &known));
    None
}

fn limits_of(raw: &raw::Limits, report: &mut Report) -> Limits {
    let default = Limits::default();
    Limits {
        message_size: size(raw.message_size.clone(), default.message_size, 1 << 10, 100 << 30, report),
        recipients: count(raw.recipients.clone(), default.recipients, 100_000, report),
        errors: raw
            .errors
            .as_ref()
            .and_then(|errors| within(errors, 1, 10_000, |n| n, report))
            .unwrap_or(default.errors),
        auth_failures: raw
            .auth_failures
            .as_ref()
            .and_then(|failures| within(failures, 1, 10_000, |n| n, report))
            .unwrap_or(default.auth_failures),
        ..default
    }
}

fn bounds_of(raw: &raw::Limits, report: &mut Report) -> Bounds {
    let default = Bounds::default();
    Bounds {
        sessions: count(raw.sessions.clone(), default.sessions, 1_000_000, report),
        sessions_per_ip: count(raw.sessions_per_ip.clone(), default.sessions_per_ip, 1_000_000, report),
        exempt: raw.exempt.clone().unwrap_or(default.exempt),
    }
}

/// HELP cannot be relayed, and EXPN has no answer of ours.
fn inquiries_of(raw: Option<&raw::Inquiries>, report: &mut Report) -> Inquiries {
    let default = Inquiries::default();
    let Some(raw) = raw else { return default };
    let mut chosen = |found: &Option<Placed<Inquiry>>, usual, not: Inquiry, help: &str| match found {
        Some(found) if found.value == not => {
            report.error_with_help(found.place, "this cannot be chosen here", help.to_owned());
            usual
        }
        Some(found) => found.value,
        None => usual,
    };
    Inquiries {
        vrfy: raw.vrfy.unwrap_or(default.vrfy),
        expn: chosen(
            &raw.expn,
            default.expn,
            Inquiry::Answer,
            "`relay` or `off`: only the upstream knows its lists",
        ),
        help: chosen(
            &raw.help,
            default.help,
            Inquiry::Relay,
            "`answer` or `off`: the upstream's commands are not ours",
        ),
    }
}

fn timeouts_of(raw: &raw::Timeouts, report: &mut Report) -> Timeouts {
    const DAY: u64 = 24 * 60 * 60;
    let default = Timeouts::default();
    let second = Duration::from_secs(1);
    Timeouts {
        command: duration(raw.command.clone(), default.command, second, DAY, report),
        data: duration(raw.data.clone(), default.data, second, DAY, report),
        session: duration(raw.session.clone(), default.session, second, 7 * DAY, report),
    }
}

/// What is written, or what follows from there being certificates.
pub(super) fn mode_of(raw: &raw::ListenerTls) -> TlsMode {
    let default = if raw.certificates.is_some() { TlsMode::Opportunistic } else { TlsMode::Off };
    raw.mode.unwrap_or(default)
}
