//! Services that policies may ask.

use crate::facts::{Clamd, Rspamd, ServiceSettings};

use super::super::raw;
use super::super::read::Placed;
use super::super::report::Report;

/// What the section `policies` says about web services and scanners.
pub(super) fn services(raw: Option<&raw::Policies>, report: &mut Report) -> ServiceSettings {
    let Some(raw) = raw else { return ServiceSettings::default() };
    let hosts = raw.http_hosts.iter().flatten();
    ServiceSettings {
        http_hosts: hosts.filter_map(|host| http_host(host, report)).collect(),
        clamd: raw.clamd.as_ref().and_then(|clamd| scanner(clamd, report)),
        rspamd: raw.rspamd.as_ref().and_then(|rspamd| {
            let found = Rspamd::new(&rspamd.value);
            if found.is_none() {
                let help = "write `http://127.0.0.1:11333`, where rspamd's normal worker listens";
                report.error_with_help(rspamd.place, "expected the URL of rspamd", help);
            }
            found
        }),
    }
}

/// A host, or a host and its port, and nothing else: no scheme, no path, no wildcard.
fn http_host(host: &Placed<String>, report: &mut Report) -> Option<String> {
    let name = host.value.to_lowercase();
    let (bare, port) = match name.rsplit_once(':') {
        Some((bare, port)) if !bare.contains(':') || bare.ends_with(']') => (bare, Some(port)),
        _ => (name.as_str(), None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    let address = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !bare.is_empty()
                && bare.split('.').all(|label| {
                    !label.is_empty()
                        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                })
        }
    };
    if is_port && is_host {
        return Some(name);
    }
    let help = "write `api.example.org`, `api.example.org:8443`, `192.0.2.1` or `[2001:db8::1]`";
    report.error_with_help(host.place, "expected the name of a web server, with or without a port", help);
    None
}

fn scanner(clamd: &Placed<String>, report: &mut Report) -> Option<Clamd> {
    if let Some(path) = clamd.value.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Some(Clamd::Unix(report.resolve(path.as_ref())));
    }
    let is_address = clamd.value.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && host != "unix" && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if !is_address {
        let help = "write `unix:/run/clamav/clamd.ctl` or `127.0.0.1:3310`";
        report.error_with_help(clamd.place, "expected the place where clamd listens", help);
    }
    is_address.then(|| Clamd::Tcp(clamd.value.clone()))
}
