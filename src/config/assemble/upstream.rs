//! Upstreams.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::server::Address;
use crate::upstream::{Identity, Kind, Protocol, Remote, Target, Timeouts, may_be_transparent};

use super::super::raw;
use super::super::read::{Named, Placed};
use super::super::report::Report;
use super::listener::label;
use super::{duration, lmtp, tls};

/// Every upstream; `None` when one is broken.
pub(super) fn all(raw: &Named<raw::Upstream>, hostname: &str, report: &mut Report) -> Option<Vec<Target>> {
    let built: Vec<_> = raw
        .0
        .iter()
        .map(|(key, raw)| {
            label(key, report);
            let kind = kind(raw.as_ref()?, report)?;
            Some(Target { name: key.name.clone(), hostname: hostname.to_owned(), kind })
        })
        .collect();
    built.into_iter().collect()
}

/// Warns of upstreams that nobody uses, and refuses one that is a listener of our own: mail would run in a circle.
pub(super) fn check_use(
    listeners: &Named<raw::Listener>,
    upstreams: &Named<raw::Upstream>,
    routes: Option<&Named<Placed<String>>>,
    report: &mut Report,
) {
    let listeners: Vec<_> = listeners.0.iter().filter_map(|(_, listener)| listener.as_ref()).collect();
    let mut used: Vec<_> = listeners.iter().filter_map(|listener| listener.upstream.as_ref()).collect();
    let routes = routes.map_or(&[][..], |routes| &routes.0);
    used.extend(routes.iter().filter_map(|(_, upstream)| upstream.as_ref()));
    // A broken or misspelt name may be meant for the one that seems unused.
    let certain = !used.is_empty()
        && used.len() == listeners.len() + routes.len()
        && used.iter().all(|name| upstreams.names().any(|known| known == name.value));
    let own: Vec<_> = listeners.iter().filter_map(|listener| listener.listen.as_ref()).collect();
    for (key, upstream) in &upstreams.0 {
        if certain && !used.iter().any(|name| name.value == key.name) {
            let message = format!("no listener and no route uses the upstream `{}`", key.name);
            report.warning(
                key.place,
                message,
                "name it as the `upstream` of a listener or in `routes`, or remove it",
            );
        }
        let addresses = upstream.iter().filter_map(|upstream| upstream.address.as_ref());
        for address in addresses.flat_map(|addresses| &addresses.0) {
            let Ok(target) = lmtp::without_scheme(&address.value).parse::<SocketAddr>() else { continue };
            if own
                .iter()
                .flat_map(|own| &own.0)
                .any(|own| matches!(own.value, Address::Bind(own) if reaches(target, own)))
            {
                let help = "give your mail server an address of its own, such as `127.0.0.1:10025`";
                report.error_with_help(address.place, "this is an address of Gatepost's own listener", help);
            }
        }
    }
}

/// Whether a connection to `target` arrives at `listener`.
fn reaches(target: SocketAddr, listener: SocketAddr) -> bool {
    let everywhere = listener.ip().is_unspecified() && target.ip().is_loopback();
    target.port() != 0 && target.port() == listener.port() && (target.ip() == listener.ip() || everywhere)
}

fn kind(raw: &raw::Upstream, report: &mut Report) -> Option<Kind> {
    let addresses = &raw.address.as_ref()?.0;
    let folder = |address: &Placed<String>| address.value.strip_prefix("maildir:").map(PathBuf::from);
    if let Some(path) = addresses.iter().find_map(folder) {
        return maildir(raw, addresses, &path, report);
    }
    check_addresses(addresses, report);
    if addresses.iter().any(|address| lmtp::is_meant(&address.value)) {
        return lmtp::remote(raw, addresses, report).map(Kind::Smtp);
    }
    let help = "write `127.0.0.1:10025`, `[::1]:25`, `mail.example.org:25`, `lmtp://HOST:PORT`, `lmtp:///PATH` or `maildir:PATH`";
    let checked: Vec<_> = addresses.iter().map(|address| host_and_port(address, help, report)).collect();
    let tls = tls::of_upstream(raw.tls.as_ref(), report);
    let timeouts = raw.timeouts.as_ref().map_or_else(Timeouts::default, |raw| timeouts(&raw.value, report));
    Some(Kind::Smtp(Remote {
        addresses: checked.into_iter().collect::<Option<_>>()?,
        balance: raw.balance.as_ref().map_or_else(Default::default, |balance| balance.value),
        protocol: Protocol::Smtp,
        identity: identity(raw.client_identity.as_ref(), report),
        tls: tls?,
        timeouts,
    }))
}

/// XCLIENT unless something else is asked for: what fails closed is the better default.
fn identity(raw: Option<&Placed<Identity>>, report: &mut Report) -> Identity {
    let Some(identity) = raw else { return Identity::XClient };
    if identity.value == Identity::Transparent
        && let Err(error) = may_be_transparent()
    {
        let help = "in the systemd unit: `AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_RAW`; without it all mail \
                    for this upstream is deferred";
        report.warning(identity.place, error.to_string(), help);
    }
    identity.value
}

fn maildir(
    raw: &raw::Upstream,
    addresses: &[Placed<String>],
    path: &Path,
    report: &mut Report,
) -> Option<Kind> {
    let without = [
        ("balance", raw.balance.as_ref().map(|value| value.place)),
        ("client_identity", raw.client_identity.as_ref().map(|value| value.place)),
        ("tls", raw.tls.as_ref().map(|value| value.place)),
        ("timeouts", raw.timeouts.as_ref().map(|value| value.place)),
    ];
    for (key, place) in without {
        if let Some(place) = place {
            report.error_with_help(place, format!("a Maildir has no `{key}`"), "remove the key");
        }
    }
    if let Some(second) = addresses.get(1) {
        report.error(second.place, "a Maildir is the only address of its upstream");
    }
    if path.as_os_str().is_empty() {
        let place = addresses.first().map(|address| address.place);
        report.add(place, "expected the path of a Maildir", Some("write `maildir:PATH`".to_owned()));
        return None;
    }
    Some(Kind::Maildir(report.resolve(path)))
}

/// Twice the same address is one that is tried twice.
fn check_addresses(addresses: &[Placed<String>], report: &mut Report) {
    for (n, address) in addresses.iter().enumerate() {
        if addresses.iter().take(n).any(|earlier| earlier.value == address.value) {
            report.error_with_help(address.place, "this address is there already", "remove one of them");
        }
    }
}

/// `host:port`, `192.0.2.1:port` or `[2001:db8::1]:port`; `help` says what else may be written there.
pub(super) fn host_and_port(address: &Placed<String>, help: &str, report: &mut Report) -> Option<String> {
    let text = &address.value;
    if text.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0) {
        return Some(text.clone());
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        let example = SocketAddr::new(ip, 25);
        report.error_with_help(address.place, "the address has no port", format!("write `{example}`"));
        return None;
    }
    let port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    let host = |host: &str| !host.is_empty() && !host.contains([':', '/', '@', ' ', '[', ']']);
    if text.rsplit_once(':').is_some_and(|(name, number)| host(name) && port(number)) {
        return Some(text.clone());
    }
    report.error_with_help(address.place, "expected a host and a port", help);
    None
}

pub(super) fn timeouts(raw: &raw::UpstreamTimeouts, report: &mut Report) -> Timeouts {
    let default = Timeouts::default();
    let second = Duration::from_secs(1);
    // The client waits 4 minutes for a reply and 9 from its final dot on; what is longer than that helps nobody.
    Timeouts {
        connect: duration(raw.connect.clone(), default.connect, second, 3 * 60, report),
        reply: duration(raw.reply.clone(), default.reply, second, 4 * 60, report),
        end_of_data: duration(raw.end_of_data.clone(), default.end_of_data, second, 9 * 60, report),
    }
}
