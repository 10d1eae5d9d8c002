//! How a listener's clients arrive: behind load balancers and other hops, and before the banner.

use std::time::Duration;

use ipnet::IpNet;

use crate::proxy::Manners;
use crate::server::Bounds;

use super::super::raw;
use super::super::read::Placed;
use super::super::report::Report;
use super::duration;

/// Clients wait five minutes for a banner (RFC 5321 4.5.3.2.1), and hold a session while they do.
const LONGEST_DELAY: u64 = 60;

/// `proxy_protocol`, `xclient` and `greet_delay`. Clients that are exempt from limits are not tested either.
pub(super) fn manners(raw: &raw::Listener, bounds: &Bounds, report: &mut Report) -> Manners {
    Manners {
        proxy_protocol: believed(raw.proxy_protocol.as_deref(), report),
        xclient: believed(raw.xclient.as_deref(), report),
        greet_delay: duration(raw.greet_delay.clone(), Duration::ZERO, Duration::ZERO, LONGEST_DELAY, report),
        exempt: bounds.exempt.clone(),
    }
}

/// Networks whose word about other clients counts.
fn believed(networks: Option<&[Placed<IpNet>]>, report: &mut Report) -> Vec<IpNet> {
    let networks = networks.unwrap_or_default();
    for network in networks.iter().filter(|network| network.value.prefix_len() == 0) {
        let message = format!("`{}` lets every client say that it is another one", network.value);
        report.warning(network.place, message, "name the addresses of your own load balancers and hops");
    }
    networks.iter().map(|network| network.value).collect()
}
