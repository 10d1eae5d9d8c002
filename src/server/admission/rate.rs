//! How often something may happen for one client: the generic cell rate algorithm over a bounded table.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Clients whose rate is known at a time. When there would be more, the one that was met first is forgotten; it begins
/// anew, which costs less than a table that grows with the number of attackers.
const CLIENTS: usize = 1 << 16;

/// So many times within a period: all of them at once if nothing happened before, then one after the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// At least 1.
    pub count: u32,
    /// In which time.
    pub period: Duration,
}

/// How much of its rate each client has used up.
///
/// For each of them one instant is kept: when it will have its whole rate back (the "theoretical arrival time" of the
/// algorithm). Once that is past, the client is as good as unknown.
#[derive(Debug)]
pub(super) struct Meter {
    /// What one time costs.
    each: Duration,
    /// How far ahead of now a client may be.
    period: Duration,
    clients: HashMap<IpAddr, Instant>,
    /// The same clients, the one that was met first in front.
    order: VecDeque<IpAddr>,
    capacity: usize,
}

impl Meter {
    pub(super) fn new(rate: Rate) -> Self {
        Self::with_capacity(rate, CLIENTS)
    }

    fn with_capacity(rate: Rate, capacity: usize) -> Self {
        Self {
            each: rate.period / rate.count.max(1),
            period: rate.period,
            clients: HashMap::new(),
            order: VecDeque::new(),
            capacity,
        }
    }

    /// Whether `client` has used up its rate.
    pub(super) fn is_spent(&self, client: IpAddr, now: Instant) -> bool {
        self.clients.get(&client).is_some_and(|full| *full + self.each > now + self.period)
    }

    /// Counts one time, unless the rate is used up; whether it was counted.
    pub(super) fn take(&mut self, client: IpAddr, now: Instant) -> bool {
        let free = !self.is_spent(client, now);
        if free {
            self.count(client, now);
        }
        free
    }

    /// Counts one time, also beyond the rate.
    pub(super) fn count(&mut self, client: IpAddr, now: Instant) {
        let (each, most) = (self.each, now + self.period);
        if let Some(full) = self.clients.get_mut(&client) {
            *full = ((*full).max(now) + each).min(most);
            return;
        }
        self.forget(now);
        self.clients.insert(client, now + each);
        self.order.push_back(client);
    }

    /// Makes room: whoever stands in front and has its rate back goes, and the first in any case when the table is full.
    fn forget(&mut self, now: Instant) {
        // Two for each that comes, so that the table shrinks again behind a flood without a pause for it.
        for _ in 0..2 {
            let Some(first) = self.order.front() else { return };
            let restored = self.clients.get(first).is_none_or(|full| *full <= now);
            if !restored && self.clients.len() < self.capacity {
                return;
            }
            self.clients.remove(first);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn client(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    fn meter(count: u32, capacity: usize) -> Meter {
        Meter::with_capacity(Rate { count, period: 60 * SECOND }, capacity)
    }

    #[test]
    fn all_at_once_and_then_one_after_the_other() {
        let (mut meter, begin) = (meter(3, 10), Instant::now());
        let taken = (0..5).filter(|_| meter.take(client(1), begin)).count();
        assert_eq!(taken, 3);
        assert!(!meter.take(client(1), begin + 19 * SECOND));
        assert!(meter.take(client(1), begin + 20 * SECOND));
        assert!(!meter.take(client(1), begin + 21 * SECOND));
        assert!(meter.take(client(2), begin), "another client has its own");
        let later = begin + 200 * SECOND;
        assert_eq!((0..5).filter(|_| meter.take(client(1), later)).count(), 3, "and it comes back");
    }

    #[test]
    fn what_was_counted_beyond_the_rate_is_paid_for_once() {
        let (mut meter, begin) = (meter(2, 10), Instant::now());
        (0..100).for_each(|_| meter.count(client(1), begin));
        assert!(meter.is_spent(client(1), begin + 29 * SECOND));
        assert!(!meter.is_spent(client(1), begin + 31 * SECOND));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let (mut meter, begin) = (meter(1, 3), Instant::now());
        for number in 0..100 {
            assert!(meter.take(client(number), begin));
            assert!(meter.clients.len() <= 3 && meter.order.len() == meter.clients.len());
        }
        assert!(meter.is_spent(client(99), begin));
        assert!(meter.take(client(0), begin), "the first is unknown again");
    }

    #[test]
    fn a_flood_leaves_the_table_small() {
        let (mut meter, begin) = (meter(1, 1000), Instant::now());
        (0..1000).for_each(|number| meter.count(client(number), begin));
        let later = begin + 61 * SECOND;
        (2000..2600).for_each(|number| meter.count(client(number), later));
        assert_eq!(meter.clients.len(), 600);
    }
}
