//! The addresses of one mail server: which is tried when, by what became of it before.
//!
//! An address that fails is set aside for 1 s, then 2 s, and so on up to 60 s: connections go there only when no other is
//! left. After three failures in a row it is not tried at all before its time is over, and then by one connection alone
//! (a circuit breaker, half open); so a host that swallows packets does not keep every client waiting.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::target::Balance;
use crate::metrics::{AddressMetrics, UpstreamMetrics};
use crate::smtp::extensions::Extensions;

/// After so many failures in a row nobody waits for an address before its time.
const TRIPPED: u32 = 3;

/// The longest time for which an address is set aside, in seconds.
const LONGEST: u64 = 60;

/// All addresses of one upstream.
#[derive(Debug)]
pub(super) struct Addresses {
    all: Vec<Arc<Address>>,
    balance: Balance,
    turn: AtomicUsize,
    /// Told of every address that is set aside.
    set_aside: Arc<Notify>,
}

/// One address and what is known of it.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) text: String,
    health: Mutex<Health>,
    /// How many connections to it are open.
    open: AtomicUsize,
    /// What it offered last.
    extensions: ArcSwapOption<Extensions>,
    metrics: AddressMetrics,
    set_aside: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Health {
    /// Since it last answered.
    failures: u32,
    /// Until when it is set aside.
    until: Option<Instant>,
}

/// An open connection to an address, until it is dropped.
#[derive(Debug)]
pub(super) struct Lease(Arc<Address>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.closed();
    }
}

impl Addresses {
    pub(super) fn new(addresses: &[String], balance: Balance, metrics: &UpstreamMetrics) -> Self {
        let set_aside = Arc::<Notify>::default();
        let address =
            |text: &String| Arc::new(Address::new(text, metrics.address(text), Arc::clone(&set_aside)));
        let all = addresses.iter().map(address).collect();
        Self { all, balance, turn: AtomicUsize::new(0), set_aside }
    }

    pub(super) fn all(&self) -> &[Arc<Address>] {
        &self.all
    }

    /// The addresses in the order in which a new connection tries them; each has to be asked whether it
    /// [may be tried](Address::may_be_tried).
    pub(super) fn in_order(&self) -> Vec<Arc<Address>> {
        let mut order = self.all.clone();
        match self.balance {
            Balance::First => {}
            Balance::RoundRobin => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                order.rotate_left(turn.checked_rem(self.all.len()).unwrap_or(0));
            }
            Balance::LeastSessions => order.sort_by_key(|address| address.open.load(Ordering::Relaxed)),
        }
        order.sort_by_key(|address| !address.is_up());
        order
    }

    /// What all of those offer that answered when they were last asked; of those that did not, what they offered
    /// before, if no other is left. `None` when none of them was ever heard.
    pub(super) fn extensions(&self) -> Option<Arc<Extensions>> {
        let known = |address: &Arc<Address>| Some((address.is_up(), address.extensions.load_full()?));
        let known: Vec<_> = self.all.iter().filter_map(known).collect();
        let any_up = known.iter().any(|(up, _)| *up);
        let relevant = known.into_iter().filter(|(up, _)| *up || !any_up).map(|(_, extensions)| extensions);
        relevant.reduce(|one, other| Arc::new(one.intersect(&other)))
    }

    /// Waits until an address is set aside.
    pub(super) async fn set_aside(&self) {
        self.set_aside.notified().await;
    }

    /// How long until the next address that is set aside is to be tried again, if there is one.
    pub(super) fn next_trial(&self) -> Option<Duration> {
        let until = self.all.iter().filter_map(|address| address.health().until).min()?;
        Some(until.saturating_duration_since(Instant::now()))
    }
}

impl Address {
    fn new(text: &str, metrics: AddressMetrics, set_aside: Arc<Notify>) -> Self {
        Self {
            text: text.to_owned(),
            health: Mutex::default(),
            open: AtomicUsize::new(0),
            extensions: ArcSwapOption::empty(),
            metrics,
            set_aside,
        }
    }

    /// Whether a connection may be tried now. Of an address whose time has come after many failures, only the first
    /// who asks gets to know how it is; for the others it failed once more.
    pub(super) fn may_be_tried(&self) -> bool {
        let mut health = self.health();
        if health.failures < TRIPPED {
            return true;
        }
        let due = !health.is_set_aside();
        if due {
            health.fail();
        }
        due
    }

    /// It answered as it should.
    pub(super) fn answered(&self, upstream: &str) {
        let before = std::mem::take(&mut *self.health());
        if before.failures > 0 {
            tracing::info!(event = "upstream_address_up", upstream, address = self.text, "answers again");
        }
        self.metrics.up(true);
    }

    /// It did not answer as it should. Many who find out at the same time are one failure.
    pub(super) fn failed(&self, upstream: &str) {
        let mut health = self.health();
        if health.failures == 0 {
            tracing::warn!(event = "upstream_address_down", upstream, address = self.text, "is set aside");
        }
        if !health.is_set_aside() {
            health.fail();
            self.set_aside.notify_one();
        }
        drop(health);
        self.metrics.up(false);
    }

    /// What it offers from now on.
    pub(super) fn offers(&self, extensions: Arc<Extensions>) {
        self.extensions.store(Some(extensions));
    }

    /// Counts one more connection as open.
    pub(super) fn lease(self: &Arc<Self>) -> Lease {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.metrics.opened();
        Lease(Arc::clone(self))
    }

    /// Whether it answered as it should when it was last tried.
    pub(super) fn is_up(&self) -> bool {
        self.health().failures == 0
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    fn is_set_aside(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    fn fail(&mut self) {
        let pause = 1_u64.checked_shl(self.failures).map_or(LONGEST, |seconds| seconds.min(LONGEST));
        self.failures = self.failures.saturating_add(1);
        self.until = Some(Instant::now() + Duration::from_secs(pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn addresses(balance: Balance) -> Addresses {
        Addresses::new(&["a:25", "b:25", "c:25"].map(str::to_owned), balance, &UpstreamMetrics::detached())
    }

    fn order(addresses: &Addresses) -> String {
        addresses.in_order().iter().filter_map(|address| address.text.chars().next()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_order_is_the_operators_and_those_that_failed_come_last() {
        let first = addresses(Balance::First);
        assert_eq!([order(&first), order(&first)], ["abc", "abc"]);
        first.all[0].failed("main");
        assert_eq!(order(&first), "bca");
        first.all[0].answered("main");
        assert_eq!(order(&first), "abc");

        let turns = addresses(Balance::RoundRobin);
        assert_eq!(
            [order(&turns), order(&turns), order(&turns), order(&turns)],
            ["abc", "bca", "cab", "abc"]
        );

        let least = addresses(Balance::LeastSessions);
        let (a, b) = (least.all[0].lease(), least.all[1].lease());
        assert_eq!(order(&least), "cab");
        drop(a);
        assert_eq!(order(&least), "acb");
        drop(b);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_doubles_up_to_a_minute_and_one_at_a_time_finds_out() {
        let addresses = addresses(Balance::First);
        let address = &addresses.all[0];
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert!(address.may_be_tried());
            address.failed("main");
            address.failed("main");
            let pause = addresses.next_trial().unwrap();
            pauses.push(pause.as_secs());
            assert_eq!(address.may_be_tried(), pauses.len() < 3, "{pauses:?}");
            advance(pause).await;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(address.may_be_tried() && !address.may_be_tried(), "the circuit is half open");
        address.answered("main");
        assert!(address.may_be_tried() && address.may_be_tried());
        assert_eq!(addresses.next_trial(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_offered_is_what_all_can_do_that_answer() {
        let addresses = addresses(Balance::First);
        assert_eq!(addresses.extensions(), None);
        let with = |chunking, dsn| Arc::new(Extensions { chunking, dsn, ..Extensions::default() });
        addresses.all[0].offers(with(true, true));
        assert_eq!(addresses.extensions(), Some(with(true, true)), "the unknown ones do not count");
        addresses.all[1].offers(with(true, false));
        assert_eq!(addresses.extensions(), Some(with(true, false)));
        addresses.all[1].failed("main");
        assert_eq!(addresses.extensions(), Some(with(true, true)));
        addresses.all[0].failed("main");
        addresses.all[2].failed("main");
        assert_eq!(addresses.extensions(), Some(with(true, false)), "the last list that is known");
    }
}
