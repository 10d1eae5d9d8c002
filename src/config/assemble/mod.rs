//! From what the file says to what the program needs: names are matched, files are read, defaults are filled in.

mod admin;
mod arrival;
mod auth;
mod decisions;
mod exceptions;
mod listener;
mod lmtp;
mod name;
mod policy;
mod quarantine;
mod routes;
mod seal;
mod secret;
mod services;
mod state;
mod tls;
mod upstream;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::checks::results::CheckResult;
use crate::message::spool;
use crate::units::{duration_text, size_text};
use crate::upstream::Target;
use crate::{checks, dns};

pub(super) use self::admin::admin;
pub(super) use self::decisions::settings as decisions;
pub(super) use self::quarantine::quarantine;
use super::openings::Openings;
use super::raw;
use super::read::{Named, Placed, Size, within};
use super::ready::{Listener, Log, Settings};
use super::report::Report;

/// How long sessions have to come to an end. With the farewells behind it, the process is gone within ten seconds, which is how long
/// the less patient of those that stop services wait.
const DRAIN: Duration = Duration::from_secs(8);

/// The settings that `file` means. `None` when something that cannot be left out is missing or broken, which is then in
/// the report; the report may hold further errors all the same.
pub(super) fn settings(file: raw::File, report: &mut Report) -> Option<Settings> {
    let openings = Openings::of(&file, report);
    listener::check_addresses(&file, report);
    // Every part is looked at before the first that is missing ends it, so that all errors are found.
    let hostname = file.hostname.as_ref().and_then(|name| name::host(name, report));
    let called = hostname.as_deref().unwrap_or_default();
    let domains = file.domains.and_then(|domains| name::domains(&domains, report));
    let routes = file.routes.as_ref();
    let quarantine = file.quarantine.as_ref().map(|raw| quarantine(raw, report));
    let (quarantine, address) = quarantine.unwrap_or_default();
    let address = address.map(Arc::new);
    let (mut listeners, upstreams) =
        sides(file.listeners.as_ref(), file.upstreams.as_ref(), routes, called, report);
    let routes = routes::all(routes, domains.as_deref(), file.upstreams.as_ref(), report);
    let admin = file.admin.as_ref().and_then(|raw| admin(raw, report));
    let every = listeners.iter_mut().flatten();
    every.for_each(|listener| listener.terms.quarantine_address.clone_from(&address));
    let services = services::services(file.policies.as_ref(), report);
    let raw_policies = file.policies.unwrap_or_default();
    let tarpits = tarpits(&raw_policies, report);
    let mut policies = policy::sources(raw_policies, file.listeners.as_ref(), &services, report);
    if let Some(policies) = &mut policies {
        policies.quarantine = quarantine.is_some();
        policies.receive_for(domains.as_deref().unwrap_or_default());
    }
    let trusted_networks = trusted(file.trusted_networks.unwrap_or_default(), report);
    let spool = spool(file.spool.unwrap_or_default(), report);
    let authentication = file.authentication.unwrap_or_default();
    let authserv_id = authentication.authserv_id.as_ref().and_then(|id| name::authserv_id(id, report));
    let checks = checks(&authentication, called, report);
    let decisions = decisions(file.decisions.unwrap_or_default(), report);
    let dns = dns(file.dns.unwrap_or_default(), report);
    let state = state::settings(file.state, report);
    let drain = duration(file.shutdown.unwrap_or_default().drain, DRAIN, Duration::ZERO, 60 * 60, report);
    Some(Settings {
        file: report.file().to_owned(),
        listeners: listeners?,
        upstreams: upstreams?,
        domains: domains?,
        routes: routes?,
        trusted_networks,
        policies: policies?,
        quarantine,
        tarpits,
        services,
        spool,
        checks,
        authserv_id: authserv_id.unwrap_or_else(|| called.to_owned()),
        seal_key: authentication.seal.as_ref().and_then(|seal| seal::key_file(seal, report)),
        received_spf: authentication.received_spf.unwrap_or(false),
        decisions,
        dns,
        state: state?,
        admin,
        log: log(file.log.unwrap_or_default()),
        drain,
        openings,
        hostname: hostname?,
    })
}

/// Both sides of the house, and whether they fit together.
fn sides(
    listeners: Option<&Named<raw::Listener>>,
    upstreams: Option<&Named<raw::Upstream>>,
    routes: Option<&Named<Placed<String>>>,
    hostname: &str,
    report: &mut Report,
) -> (Option<Vec<Listener>>, Option<Vec<Target>>) {
    if let (Some(listeners), Some(upstreams)) = (listeners, upstreams) {
        upstream::check_use(listeners, upstreams, routes, report);
    }
    (
        listeners.and_then(|listeners| listener::all(listeners, hostname, upstreams, report)),
        upstreams.and_then(|upstreams| upstream::all(upstreams, hostname, report)),
    )
}

fn checks(raw: &raw::Authentication, hostname: &str, report: &mut Report) -> checks::Settings {
    let default = checks::Settings::default();
    let sealers = raw.trusted_sealers.as_ref().map(|sealers| name::sealers(sealers, report));
    checks::Settings {
        hostname: hostname.to_owned(),
        spf: raw.spf.unwrap_or(default.spf),
        dkim: raw.dkim.unwrap_or(default.dkim),
        dmarc: raw.dmarc.unwrap_or(default.dmarc),
        arc: raw.arc.unwrap_or(default.arc),
        trusted_sealers: sealers.unwrap_or_default(),
        seal: raw.seal.as_ref().and_then(|seal| seal::sealer(seal, raw, report)),
        max_signatures: count(
            raw.max_signatures.clone(),
            default.max_signatures,
            checks::MAX_SIGNATURES,
            report,
        ),
        partial_body: match raw.partial_body {
            None | Some(raw::PartialBody::Neutral) => CheckResult::Neutral,
            Some(raw::PartialBody::Policy) => CheckResult::Policy,
        },
        ..default
    }
}

fn trusted(networks: Vec<Placed<IpNet>>, report: &mut Report) -> Vec<IpNet> {
    for network in networks.iter().filter(|network| network.value.prefix_len() == 0) {
        let message = format!("`{}` lets the whole Internet relay", network.value);
        report.warning(network.place, message, "name the networks of your own servers and users");
    }
    networks.into_iter().map(|network| network.value).collect()
}

/// How many sessions may be delayed at once: enough to annoy, too few to matter.
fn tarpits(raw: &raw::Policies, report: &mut Report) -> usize {
    let placed = raw.limits.as_ref().and_then(|limits| limits.tarpits.clone());
    let found = placed.and_then(|placed| within(&placed, 0, 1_000_000, |n| n, report));
    found.map_or(200, whole)
}

/// The folder is /var/tmp unless configured: it is there for every user, and unlike /tmp it is not in memory.
fn spool(raw: raw::Spool, report: &mut Report) -> spool::Settings {
    spool::Settings {
        dir: Some(raw.dir.map_or_else(|| PathBuf::from("/var/tmp"), |dir| report.resolve(&dir.value))),
        memory: size(raw.memory, 64 << 20, 0, 1 << 40, report),
        memory_per_message: size(raw.memory_per_message, 1 << 20, 0, 1 << 30, report),
    }
}

pub(super) fn log(raw: raw::Log) -> Log {
    Log { format: raw.format.unwrap_or_default(), level: raw.level.unwrap_or_default() }
}

fn dns(raw: raw::Dns, report: &mut Report) -> dns::Settings {
    let default = dns::Settings::default();
    let servers = raw.servers.unwrap_or_default();
    dns::Settings {
        servers: servers.iter().filter_map(|server| resolver(server, report)).collect(),
        timeout: duration(raw.timeout, default.timeout, Duration::from_millis(100), 60, report),
        cache_bytes: size(raw.cache, default.cache_bytes, 64 << 10, 1 << 36, report),
        ..default
    }
}

fn resolver(server: &Placed<String>, report: &mut Report) -> Option<SocketAddr> {
    let with_port = server.value.parse().ok();
    let found = with_port.or_else(|| Some(SocketAddr::new(server.value.parse::<IpAddr>().ok()?, 53)));
    if found.is_none() {
        let help = "write it as `127.0.0.1`, `127.0.0.1:5353` or `[::1]:53`; a name could not be looked up";
        report.error_with_help(server.place, "expected the IP address of a resolver", help);
    }
    found
}

/// `placed` or `default`; a value beyond `least` and `most` bytes is reported.
fn size(placed: Option<Placed<Size>>, default: u64, least: u64, most: u64, report: &mut Report) -> u64 {
    let bounded = |placed: Placed<Size>| {
        let bytes = Placed { value: placed.value.0, place: placed.place };
        within(&bytes, least, most, size_text, report)
    };
    placed.and_then(bounded).unwrap_or(default)
}

/// `placed` or `default`; a value below `least` or beyond `most` seconds is reported.
fn duration(
    placed: Option<Placed<Duration>>,
    default: Duration,
    least: Duration,
    most: u64,
    report: &mut Report,
) -> Duration {
    let most = Duration::from_secs(most);
    let bounded = |placed: Placed<Duration>| within(&placed, least, most, duration_text, report);
    placed.and_then(bounded).unwrap_or(default)
}

/// `placed` or `default`; a value that is 0 or beyond `most` is reported.
fn count(placed: Option<Placed<u32>>, default: usize, most: u32, report: &mut Report) -> usize {
    let found = placed.and_then(|placed| within(&placed, 1, most, |n| n, report));
    found.map_or(default, |found| whole(found.into()))
}

/// A number that is far below what memory can hold.
fn whole(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
