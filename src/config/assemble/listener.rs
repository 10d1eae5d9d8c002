//! Listeners.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use crate::admin::Place;
use crate::diagnostic::Position;
use crate::proxy::DEFAULT_HEADER_LIMIT;
use crate::server::{self, Address, Bounds, NETWORK_SHARE};
use crate::session::{Inquiries, Inquiry, Limits, Terms, Timeouts};
use crate::smtp::text_line::TEXT_LINE;

use super::super::raw::{self, LineLength, TlsMode};
use super::super::read::{Named, Placed, Rate, suggestion, within};
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
pub(super) fn check_addresses(file: &raw::File, report: &mut Report) {
    let mut taken: HashMap<Address, Position> = HashMap::new();
    let admin = file.admin.as_ref().and_then(|admin| admin.listen.as_ref());
    let of_listeners = file
        .listeners
        .iter()
        .flat_map(|listeners| &listeners.0)
        .filter_map(|(_, listener)| listener.as_ref()?.listen.as_ref())
        .flat_map(|addresses| &addresses.0)
        .cloned();
    let admin = admin.into_iter().flat_map(|admin| &admin.0).filter_map(|admin| match admin.value {
        Place::Tcp(address) => Some(Placed { value: Address::Bind(address), place: admin.place }),
        Place::Unix(_) => None,
    });
    for address in of_listeners.chain(admin) {
        // Port 0 is a free one each time.
        if matches!(&address.value, Address::Bind(bound) if bound.port() == 0) {
            continue;
        }
        let name = address.value.to_string();
        if let Some((other, first)) = overlapping(&address.value, &taken) {
            let help = format!(
                "`{other}` is on line {}; `[::]` and `0.0.0.0` are every address: keep one",
                first.line
            );
            report.error_with_help(address.place, format!("the address `{name}` is listened on twice"), help);
            continue;
        }
        let first = *taken.entry(address.value).or_insert(address.place);
        if first != address.place {
            let help = format!("the first is on line {}", first.line);
            let message = format!("the address `{name}` is listened on twice");
            report.error_with_help(address.place, message, help);
        }
    }
}

/// One of `taken` that covers `address`, or is covered by it: `[::]` and `0.0.0.0` are every address that the machine has.
fn overlapping(address: &Address, taken: &HashMap<Address, Position>) -> Option<(SocketAddr, Position)> {
    let Address::Bind(address) = address else { return None };
    let covers = |wide: &SocketAddr, one: &SocketAddr| match wide.ip() {
        IpAddr::V6(ip) => ip.is_unspecified(),
        IpAddr::V4(ip) => ip.is_unspecified() && one.is_ipv4(),
    };
    taken.iter().find_map(|(other, place)| match other {
        Address::Bind(other) if other != address && other.port() == address.port() => {
            (covers(other, address) || covers(address, other)).then_some((*other, *place))
        }
        _ => None,
    })
}

fn listener(
    key: &Key,
    raw: &raw::Listener,
    hostname: &str,
    upstreams: Option<&Named<raw::Upstream>>,
    report: &mut Report,
) -> Option<Listener> {
    let addresses =
        raw.listen.as_ref().map(|listen| listen.0.iter().map(|address| address.value.clone()).collect());
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
            quarantine_address: None,
        },
        bounds,
        header_limit: whole(header_limit),
        normalise: raw.bare_newlines.as_ref().map(|raw| normalised(raw, report)).unwrap_or_default(),
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
        errors: number(raw.errors.as_ref(), default.errors, 10_000, report),
        auth_failures: number(raw.auth_failures.as_ref(), default.auth_failures, 10_000, report),
        junk_commands: number(raw.junk_commands.as_ref(), default.junk_commands, 1_000_000, report),
        transactions: number(raw.transactions.as_ref(), default.transactions, 1_000_000, report),
        text_line: (raw.line_length == Some(LineLength::Reject)).then_some(TEXT_LINE),
        min_data_rate: raw.min_data_rate.map_or(default.min_data_rate, |rate| rate.0),
    }
}

/// `placed` or `default`; a value that is 0 or beyond `most` is reported.
fn number(placed: Option<&Placed<u32>>, default: u32, most: u32, report: &mut Report) -> u32 {
    placed.and_then(|placed| within(placed, 1, most, |n| n, report)).unwrap_or(default)
}

/// The networks whose line ends are normalised: for the few that cannot do better, never for everybody.
fn normalised(raw: &raw::BareNewlines, report: &mut Report) -> Vec<IpNet> {
    let networks = raw.normalise.as_deref().unwrap_or_default();
    for network in networks.iter().filter(|network| network.value.prefix_len() == 0) {
        let message = format!("`{}` normalises the line ends of the whole Internet", network.value);
        report.warning(network.place, message, "name the machines that cannot send CRLF");
    }
    networks.iter().map(|network| network.value).collect()
}

fn bounds_of(raw: &raw::Limits, report: &mut Report) -> Bounds {
    let default = Bounds::default();
    let sessions_per_ip = count(raw.sessions_per_ip.clone(), default.sessions_per_ip, 1_000_000, report);
    let of_network = sessions_per_ip.saturating_mul(NETWORK_SHARE);
    let rate =
        |raw: Option<Rate>| raw.and_then(|rate| rate.0).map(|(count, period)| server::Rate { count, period });
    Bounds {
        sessions: count(raw.sessions.clone(), default.sessions, 1_000_000, report),
        sessions_per_ip,
        sessions_per_network: count(raw.sessions_per_network.clone(), of_network, 1_000_000, report),
        connection_rate: rate(raw.connection_rate),
        handshake_rate: rate(raw.handshake_rate),
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
