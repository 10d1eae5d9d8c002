//! Who gets a session: limits in total and for each client address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

use crate::metrics;

/// How many sessions a listener holds at once.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Of all clients together.
    pub sessions: usize,
    /// Of one IPv4 address or one IPv6 /64.
    pub sessions_per_ip: usize,
    /// Networks to which the limit per address does not apply.
    pub exempt: Vec<IpNet>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { sessions: 2000, sessions_per_ip: 20, exempt: Vec::new() }
    }
}

/// The sessions that a listener holds now, at all of its addresses together. The table has never more entries than there
/// are sessions.
#[derive(Debug)]
pub struct Admission {
    bounds: Bounds,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// The limit that a client ran into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Full {
    /// The listener's.
    Sessions,
    /// Its own.
    PerIp,
}

impl Full {
    /// The label of a connection that ran into it.
    pub(super) const fn label(self) -> metrics::Admission {
        match self {
            Self::Sessions => metrics::Admission::LimitSessions,
            Self::PerIp => metrics::Admission::LimitPerIp,
        }
    }

    /// The name of the limit, as in the configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::PerIp => "sessions_per_ip",
        }
    }
}

/// A place among the sessions; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    /// Whose it is; nobody's while a hop has not said so, or never does.
    client: Option<IpAddr>,
}

impl Admission {
    /// A listener without sessions, which may hold so many.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, held: Mutex::default() })
    }

    /// A place for `client`, if there is one.
    pub(super) fn admit(self: &Arc<Self>, client: IpAddr) -> Result<Place, Full> {
        let mut place = self.admit_hop()?;
        place.belongs_to(client)?;
        Ok(place)
    }

    /// A place for a connection of a hop that will say for whom it is: it counts in the total, but not for the hop.
    pub(super) fn admit_hop(self: &Arc<Self>) -> Result<Place, Full> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.total >= self.bounds.sessions {
            return Err(Full::Sessions);
        }
        held.total += 1;
        Ok(Place { admission: Arc::clone(self), client: None })
    }
}

impl Place {
    /// The place is this client's, if it may have one more.
    pub(super) fn belongs_to(&mut self, client: IpAddr) -> Result<(), Full> {
        let bounds = &self.admission.bounds;
        let exempt = bounds.exempt.iter().any(|network| network.contains(&client));
        let client = one_client(client);
        let mut held = self.admission.held.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.by_client.get(&client).copied().unwrap_or_default();
        if !exempt && own >= bounds.sessions_per_ip {
            return Err(Full::PerIp);
        }
        held.by_client.insert(client, own + 1);
        self.client = Some(client);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.admission.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.total = held.total.saturating_sub(1);
        let Some(client) = self.client else { return };
        if let Entry::Occupied(mut own) = held.by_client.entry(client) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

/// The address that counts as one client: whoever has one IPv6 address has the whole /64.
fn one_client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Arc<Admission> {
        let exempt = vec!["198.51.100.0/24".parse().unwrap()];
        Admission::new(Bounds { sessions: 4, sessions_per_ip: 2, exempt })
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
        assert_eq!(admission.held.lock().unwrap().by_client.len(), 1);
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
        assert!(admission.held.lock().unwrap().by_client.is_empty());
        assert!(admission.admit(client).is_ok());
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
    fn the_total_holds_for_exempt_networks_too() {
        let admission = admission();
        let client = "198.51.100.7".parse().unwrap();
        let places: Vec<_> = (0..4).map(|_| admission.admit(client).unwrap()).collect();
        assert_eq!(admission.admit(client).unwrap_err(), Full::Sessions);
        drop(places);
        assert!(admission.held.lock().unwrap().by_client.is_empty());
    }
}
