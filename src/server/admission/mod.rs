//! Who gets a session: limits in total, for each client address and for each network, and rates.

mod hush;
mod rate;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use self::hush::Hush;
use self::rate::Meter;
pub use self::rate::Rate;
use super::descriptors::{Below, Ceiling};
use crate::metrics;

/// How many clients' worth of sessions a network has where nothing else is configured.
pub const NETWORK_SHARE: usize = 5;

/// How many sessions a listener holds at once, and how fast they may come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Of all clients together.
    pub sessions: usize,
    /// Of one IPv4 address or one IPv6 /64.
    pub sessions_per_ip: usize,
    /// Of one IPv4 /24 or one IPv6 /56.
    pub sessions_per_network: usize,
    /// How often one client may connect; `None` for any.
    pub connection_rate: Option<Rate>,
    /// How often one client may begin a TLS handshake, which costs us more than it does the client; `None` for any.
    pub handshake_rate: Option<Rate>,
    /// Networks to which only the first of these applies.
    pub exempt: Vec<IpNet>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            sessions: 2000,
            sessions_per_ip: 20,
            sessions_per_network: 20 * NETWORK_SHARE,
            connection_rate: None,
            handshake_rate: None,
            exempt: Vec::new(),
        }
    }
}

/// The sessions that a listener holds now, at all of its addresses together. The tables of sessions have never more entries
/// than there are sessions; those of rates are bounded by themselves.
#[derive(Debug)]
pub struct Admission {
    bounds: ArcSwap<Bounds>,
    ceiling: Arc<Ceiling>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by_client: Tally,
    by_network: Tally,
    connections: Option<Meter>,
    handshakes: Option<Meter>,
    hush: Hush,
}

/// Sessions by address; no entry is 0.
#[derive(Debug, Default)]
struct Tally(HashMap<IpAddr, usize>);

/// The limit that a client ran into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Full {
    /// The listener's.
    Sessions,
    /// That of the process.
    Descriptors,
    /// Its own.
    PerIp,
    /// Its network's.
    PerNetwork,
    /// It comes too often.
    ConnectionRate,
    /// It has begun too many handshakes.
    HandshakeRate,
}

impl Full {
    /// The label of a connection that ran into it.
    pub(super) const fn label(self) -> metrics::Admission {
        match self {
            Self::Sessions => metrics::Admission::LimitSessions,
            Self::Descriptors => metrics::Admission::LimitDescriptors,
            Self::PerIp => metrics::Admission::LimitPerIp,
            Self::PerNetwork => metrics::Admission::LimitPerNetwork,
            Self::ConnectionRate => metrics::Admission::LimitConnectionRate,
            Self::HandshakeRate => metrics::Admission::LimitHandshakeRate,
        }
    }

    /// The name of the limit, as in the configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Descriptors => "descriptors",
            Self::PerIp => "sessions_per_ip",
            Self::PerNetwork => "sessions_per_network",
            Self::ConnectionRate => "connection_rate",
            Self::HandshakeRate => "handshake_rate",
        }
    }
}

/// A place among the sessions; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    /// Whose it is; nobody's while a hop has not said so, or never does, and for a client that is exempt: its sessions are not
    /// held against its neighbours either.
    client: Option<IpAddr>,
    _below: Below,
}

impl Admission {
    /// A listener without sessions, which may hold so many; all listeners of a process share its ceiling.
    pub fn new(bounds: Bounds, ceiling: Arc<Ceiling>) -> Arc<Self> {
        let held = Held {
            connections: bounds.connection_rate.map(Meter::new),
            handshakes: bounds.handshake_rate.map(Meter::new),
            ..Held::default()
        };
        Arc::new(Self { bounds: ArcSwap::from_pointee(bounds), ceiling, held: Mutex::new(held) })
    }

    /// Goes by other bounds from now on. Nobody who is inside has to go; a rate that changed begins to count anew.
    pub fn rebind(&self, bounds: &Bounds) {
        let before = self.bounds.swap(Arc::new(bounds.clone()));
        let mut held = self.held();
        if before.connection_rate != bounds.connection_rate {
            held.connections = bounds.connection_rate.map(Meter::new);
        }
        if before.handshake_rate != bounds.handshake_rate {
            held.handshakes = bounds.handshake_rate.map(Meter::new);
        }
    }

    /// The sessions that it holds now.
    pub fn sessions(&self) -> usize {
        self.held().total
    }

    /// How many it may hold.
    pub fn most(&self) -> usize {
        self.bounds.load().sessions.min(self.ceiling.most())
    }

    /// A place for `client`, if there is one.
    pub(super) fn admit(self: &Arc<Self>, client: IpAddr) -> Result<Place, Full> {
        let mut place = self.admit_hop()?;
        place.belongs_to(client)?;
        Ok(place)
    }

    /// A place for a connection of a hop that will say for whom it is: it counts in the total, but not for the hop.
    pub(super) fn admit_hop(self: &Arc<Self>) -> Result<Place, Full> {
        let mut held = self.held();
        if held.total >= self.bounds.load().sessions {
            return Err(Full::Sessions);
        }
        let below = self.ceiling.enter().ok_or(Full::Descriptors)?;
        held.total += 1;
        Ok(Place { admission: Arc::clone(self), client: None, _below: below })
    }

    /// A client begins a handshake. It is not asked whether it may: STARTTLS refused is mail in the clear. Who has begun too many
    /// gets no connection next time.
    pub(super) fn handshake(&self, client: IpAddr) {
        if !self.is_exempt(client)
            && let Some(handshakes) = &mut self.held().handshakes
        {
            handshakes.count(one_client(client), Instant::now());
        }
    }

    /// How much of what a client ran into there is.
    pub(super) fn figures(&self, full: Full) -> String {
        let bounds = self.bounds.load();
        let rate = |rate: Option<Rate>| {
            rate.map(|rate| format!("{} in {:?} are allowed", rate.count, rate.period)).unwrap_or_default()
        };
        match full {
            Full::Sessions => format!("{} are allowed", bounds.sessions),
            Full::PerIp => format!("{} are allowed", bounds.sessions_per_ip),
            Full::PerNetwork => format!("{} are allowed", bounds.sessions_per_network),
            Full::Descriptors => format!("there are descriptors for {} sessions", self.ceiling.most()),
            Full::ConnectionRate => rate(bounds.connection_rate),
            Full::HandshakeRate => rate(bounds.handshake_rate),
        }
    }

    /// Whether a line about a client that is turned away may be written, and if so, how many were not since the last one.
    pub(super) fn may_tell(&self) -> Option<u64> {
        self.held().hush.ask(Instant::now())
    }

    fn is_exempt(&self, client: IpAddr) -> bool {
        self.bounds.load().exempt.iter().any(|network| network.contains(&client))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The place is this client's, if it may have one more.
    pub(super) fn belongs_to(&mut self, client: IpAddr) -> Result<(), Full> {
        if self.admission.is_exempt(client) {
            return Ok(());
        }
        let mut held = self.admission.held();
        held.judge(client, &self.admission.bounds.load(), Instant::now())?;
        held.by_client.add(one_client(client));
        held.by_network.add(network(client));
        self.client = Some(client);
        Ok(())
    }
}

impl Held {
    /// What holds for a client that is not exempt.
    fn judge(&mut self, client: IpAddr, bounds: &Bounds, now: Instant) -> Result<(), Full> {
        let one = one_client(client);
        if self.connections.as_mut().is_some_and(|meter| !meter.take(one, now)) {
            return Err(Full::ConnectionRate);
        }
        if self.by_client.of(one) >= bounds.sessions_per_ip {
            return Err(Full::PerIp);
        }
        if self.by_network.of(network(client)) >= bounds.sessions_per_network {
            return Err(Full::PerNetwork);
        }
        if self.handshakes.as_ref().is_some_and(|meter| meter.is_spent(one, now)) {
            return Err(Full::HandshakeRate);
        }
        Ok(())
    }
}

impl Tally {
    fn of(&self, address: IpAddr) -> usize {
        self.0.get(&address).copied().unwrap_or_default()
    }

    fn add(&mut self, address: IpAddr) {
        *self.0.entry(address).or_default() += 1;
    }

    fn remove(&mut self, address: IpAddr) {
        if let Entry::Occupied(mut own) = self.0.entry(address) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.admission.held();
        held.total = held.total.saturating_sub(1);
        if let Some(client) = self.client {
            held.by_client.remove(one_client(client));
            held.by_network.remove(network(client));
        }
    }
}

/// The address that counts as one client: whoever has one IPv6 address has the whole /64.
fn one_client(address: IpAddr) -> IpAddr {
    first_of(address, 32, 64)
}

/// The network of a client: what a provider gives one customer, as a rule.
fn network(address: IpAddr) -> IpAddr {
    first_of(address, 24, 56)
}

/// The address with all but its first bits cleared.
fn first_of(address: IpAddr, v4_bits: u32, v6_bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - v4_bits).unwrap_or_default();
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - v6_bits).unwrap_or_default();
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Arc<Admission> {
        let exempt = vec!["198.51.100.0/24".parse().unwrap()];
        let bounds =
            Bounds { sessions: 4, sessions_per_ip: 2, sessions_per_network: 3, exempt, ..Bounds::default() };
        Admission::new(bounds, Ceiling::of_descriptors(None))
    }

    #[test]
    fn one_address_has_its_limit_and_gets_its_places_back() {
        let admission = admission();
        let client = "192.0.2.1".parse().unwrap();
        let first = admission.admit(client).unwrap();
        let _second = admission.admit(client).unwrap();
        assert_eq!(admission.admit(client).unwrap_err(), Full::PerIp);
        drop(first);
        let _third = admission.admit(client).unwrap();
        assert_eq!(admission.held().by_client.0.len(), 1);
    }

    #[test]
    fn a_64_is_one_client() {
        let admission = admission();
        let _one = admission.admit("2001:db8::1".parse().unwrap()).unwrap();
        let _two = admission.admit("2001:db8::2".parse().unwrap()).unwrap();
        assert_eq!(admission.admit("2001:db8::3".parse().unwrap()).unwrap_err(), Full::PerIp);
        assert!(admission.admit("2001:db8:0:1::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_network_has_its_limit() {
        let admission = admission();
        let _places: Vec<_> =
            (1..4).map(|last| admission.admit(Ipv4Addr::new(192, 0, 2, last).into()).unwrap()).collect();
        assert_eq!(admission.admit("192.0.2.9".parse().unwrap()).unwrap_err(), Full::PerNetwork);
        assert!(admission.admit("192.0.3.9".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_56_is_one_network() {
        let admission = admission();
        let _places: Vec<_> = ["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"]
            .map(|client| admission.admit(client.parse().unwrap()).unwrap())
            .into();
        assert_eq!(admission.admit("2001:db8:0:ff::1".parse().unwrap()).unwrap_err(), Full::PerNetwork);
        assert!(admission.admit("2001:db8:0:100::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_hop_has_no_limit_of_its_own_and_its_clients_have() {
        let admission = admission();
        let client = "192.0.2.1".parse().unwrap();
        let mut places: Vec<_> = (0..4).map(|_| admission.admit_hop().unwrap()).collect();
        assert_eq!(admission.admit_hop().unwrap_err(), Full::Sessions, "headers that never come are bounded");
        assert_eq!(places[0].belongs_to(client), Ok(()));
        assert_eq!(places[1].belongs_to(client), Ok(()));
        assert_eq!(places[2].belongs_to(client), Err(Full::PerIp));
        drop(places);
        assert!(admission.held().by_client.0.is_empty());
        assert!(admission.admit(client).is_ok());
    }

    #[test]
    fn exempt_clients_take_nothing_from_their_neighbours() {
        let exempt = vec!["192.0.2.1/32".parse().unwrap()];
        let bounds = Bounds { sessions_per_network: 1, exempt, ..Bounds::default() };
        let admission = Admission::new(bounds, Ceiling::of_descriptors(None));
        let _exempt: Vec<_> =
            (0..9).map(|_| admission.admit("192.0.2.1".parse().unwrap()).unwrap()).collect();
        let _neighbour = admission.admit("192.0.2.2".parse().unwrap()).unwrap();
        assert_eq!(admission.admit("192.0.2.3".parse().unwrap()).unwrap_err(), Full::PerNetwork);
    }

    #[test]
    fn rates_hold_for_those_that_are_not_exempt() {
        let rate = Some(Rate { count: 2, period: std::time::Duration::from_secs(3600) });
        let exempt = vec!["198.51.100.0/24".parse().unwrap()];
        let bounds = Bounds { connection_rate: rate, handshake_rate: rate, exempt, ..Bounds::default() };
        let admission = Admission::new(bounds, Ceiling::of_descriptors(None));
        let [client, other, free] =
            ["192.0.2.1", "192.0.2.2", "198.51.100.1"].map(|client| client.parse().unwrap());
        for _ in 0..2 {
            assert!(admission.admit(client).is_ok());
            admission.handshake(other);
            admission.handshake(free);
        }
        assert_eq!(admission.admit(client).unwrap_err(), Full::ConnectionRate);
        assert_eq!(admission.admit(other).unwrap_err(), Full::HandshakeRate);
        assert!((0..9).all(|_| admission.admit(free).is_ok()));
    }

    #[test]
    fn other_bounds_hold_for_those_who_come_and_nobody_has_to_go() {
        let admission = admission();
        let client = "192.0.2.1".parse().unwrap();
        let places = [(); 2].map(|()| admission.admit(client).unwrap());
        admission.rebind(&Bounds { sessions_per_ip: 3, ..Bounds::default() });
        let third = admission.admit(client).unwrap();
        assert_eq!(admission.admit(client).unwrap_err(), Full::PerIp);
        admission.rebind(&Bounds { sessions_per_ip: 1, ..Bounds::default() });
        drop(third);
        assert_eq!(admission.admit(client).unwrap_err(), Full::PerIp, "two are still inside");
        drop(places);
        assert!(admission.admit(client).is_ok());
    }

    #[test]
    fn all_listeners_share_the_descriptors() {
        let ceiling = Ceiling::of_descriptors(Some(1));
        let [one, two] = [0, 1].map(|_| Admission::new(Bounds::default(), Arc::clone(&ceiling)));
        let client = "192.0.2.1".parse().unwrap();
        let place = one.admit(client).unwrap();
        assert_eq!(two.admit(client).unwrap_err(), Full::Descriptors);
        drop(place);
        assert!(two.admit(client).is_ok());
    }

    #[test]
    fn the_total_holds_for_exempt_networks_too() {
        let admission = admission();
        let client = "198.51.100.7".parse().unwrap();
        let places: Vec<_> = (0..4).map(|_| admission.admit(client).unwrap()).collect();
        assert_eq!(admission.admit(client).unwrap_err(), Full::Sessions);
        drop(places);
        let held = admission.held();
        assert!(held.by_client.0.is_empty() && held.by_network.0.is_empty());
    }
}
