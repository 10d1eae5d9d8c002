//! What any store does, told by a clock of the tests' own.

use std::time::{Duration, SystemTime};

use gatepost::state::{Greylist, Key, Limit, Operation, Outcome, Rate, Seen, Store};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const DELAY: Duration = Duration::from_secs(300);
const KEEP: Duration = Duration::from_secs(35 * 24 * 60 * 60);

/// Everything that any store does. Each part has keys of its own.
pub(crate) async fn run(store: &Store) {
    rates(store).await;
    rates_of_several_windows(store).await;
    rates_forget_a_clock_that_ran_ahead(store).await;
    rates_of_many_at_once(store).await;
    greylisting(store).await;
    greylisting_begins_anew(store).await;
    greylisting_knows_clients(store).await;
    greylisting_in_shadow(store).await;
    greylisting_is_promoted(store).await;
    memory(store).await;
    keys_do_not_meet(store).await;
}

/// A store, and a clock that goes on by hand.
struct At<'s> {
    store: &'s Store,
    now: SystemTime,
}

impl<'s> At<'s> {
    /// An odd millisecond, so that no slot begins with it.
    fn new(store: &'s Store) -> Self {
        Self { store, now: SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123) }
    }

    async fn perform(&self, operation: Operation) -> Outcome {
        self.store.perform(&operation, self.now).await.unwrap()
    }

    async fn rate(&self, key: &str, limits: &[(u32, Duration)]) -> (bool, u32, Duration) {
        let limits = limits.iter().map(|(count, period)| Limit { count: *count, period: *period }).collect();
        let rate = Rate { key: Key::new("suite:enforce", key), limits };
        match self.perform(Operation::Rate(rate)).await {
            Outcome::Rate(counted) => (counted.fits, counted.count, counted.retry_after),
            other => panic!("{other:?}"),
        }
    }

    async fn see(&self, attempt: &Greylist) -> Seen {
        match self.perform(Operation::Greylist(attempt.clone())).await {
            Outcome::Greylist(seen) => seen,
            other => panic!("{other:?}"),
        }
    }

    async fn remember(&self, key: &Key, keep: Duration) {
        let done = self.perform(Operation::Remember { key: key.clone(), keep }).await;
        assert_eq!(done, Outcome::Kept);
    }

    async fn remembered(&self, key: &Key) -> bool {
        match self.perform(Operation::Remembered { key: key.clone() }).await {
            Outcome::Remembered(kept) => kept,
            other => panic!("{other:?}"),
        }
    }
}

fn attempt(space: &str, client: &str, pair: &str) -> Greylist {
    Greylist {
        space: space.to_owned(),
        client: client.to_owned(),
        pair: pair.to_owned(),
        delay: DELAY,
        keep: KEEP,
        passes: 3,
        shadow: false,
    }
}

async fn rates(store: &Store) {
    let mut at = At::new(store);
    let limit = [(3, MINUTE)];
    for count in 1..=3 {
        assert_eq!(at.rate("a", &limit).await, (true, count, Duration::ZERO));
        at.now += Duration::from_secs(10);
    }
    let (fits, count, wait) = at.rate("a", &limit).await;
    assert_eq!((fits, count), (false, 3));
    // The first came 30 seconds ago; its slot is at most 3.75 seconds long.
    assert!(wait > Duration::from_secs(30) && wait < Duration::from_secs(34), "{wait:?}");
    assert_eq!(at.rate("another", &limit).await.1, 1);
    at.now += wait - Duration::from_millis(1);
    assert!(!at.rate("a", &limit).await.0, "what was refused is not counted, and does not come sooner");
    at.now += Duration::from_millis(1);
    assert_eq!(at.rate("a", &limit).await, (true, 3, Duration::ZERO));
    at.now += DAY;
    assert_eq!(at.rate("a", &limit).await, (true, 1, Duration::ZERO));
}

async fn rates_of_several_windows(store: &Store) {
    let mut at = At::new(store);
    let limits = [(5, 60 * MINUTE), (2, MINUTE)];
    for count in [1, 2] {
        assert_eq!(at.rate("b", &limits).await, (true, count, Duration::ZERO));
    }
    let (fits, count, wait) = at.rate("b", &limits).await;
    assert_eq!((fits, count), (false, 2));
    assert!(wait < 2 * MINUTE, "the minute is full, the hour is not: {wait:?}");
    at.now += wait;
    assert_eq!(at.rate("b", &limits).await.1, 3);
    assert_eq!(at.rate("b", &limits).await.1, 4);
    at.now += 2 * MINUTE;
    assert_eq!(at.rate("b", &limits).await.1, 5);
    let (fits, _, wait) = at.rate("b", &limits).await;
    assert!(!fits && wait > 50 * MINUTE, "{wait:?}");
    // Another limit for the same key is another window.
    assert_eq!(at.rate("b", &[(1, 2 * MINUTE)]).await, (true, 1, Duration::ZERO));
}

async fn rates_forget_a_clock_that_ran_ahead(store: &Store) {
    let mut at = At::new(store);
    at.now += 100 * DAY;
    assert!(at.rate("ahead", &[(1, MINUTE)]).await.0);
    at.now -= 100 * DAY;
    assert!(at.rate("ahead", &[(1, MINUTE)]).await.0);
}

/// However many come at once, exactly as many get through as the limit says.
async fn rates_of_many_at_once(store: &Store) {
    let at = At::new(store);
    let limit = [(60, 60 * MINUTE)];
    let asked = (0..1_000).map(|_| at.rate("many", &limit));
    let answers = join_all(asked).await;
    assert_eq!(answers.iter().filter(|(fits, ..)| *fits).count(), 60);
    let mut counts: Vec<_> = answers.iter().filter(|(fits, ..)| *fits).map(|(_, count, _)| *count).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=60).collect::<Vec<_>>());
}

async fn greylisting(store: &Store) {
    let mut at = At::new(store);
    let mail = attempt("grey", "192.0.2.0/24", "a@x b@y");
    assert_eq!(at.see(&mail).await, Seen::Wait(DELAY));
    at.now += DELAY - Duration::from_secs(1);
    assert_eq!(
        at.see(&mail).await,
        Seen::Wait(Duration::from_secs(1)),
        "coming too early begins nothing anew"
    );
    for other in [attempt("grey", "192.0.2.0/24", "a@x c@y"), attempt("grey", "198.51.100.0/24", "a@x b@y")] {
        assert_eq!(at.see(&other).await, Seen::Wait(DELAY));
    }
    at.now += Duration::from_secs(1);
    assert_eq!(at.see(&mail).await, Seen::Pass);
    assert_eq!(at.see(&mail).await, Seen::Known);
    // Known from the last time that it was seen.
    for _ in 0..3 {
        at.now += KEEP - MINUTE;
        assert_eq!(at.see(&mail).await, Seen::Known);
    }
    at.now += KEEP;
    assert_eq!(at.see(&mail).await, Seen::Wait(DELAY));
}

async fn greylisting_begins_anew(store: &Store) {
    let mut at = At::new(store);
    let mail = attempt("anew", "192.0.2.0/24", "a@x b@y");
    assert_eq!(at.see(&mail).await, Seen::Wait(DELAY));
    at.now += DAY;
    assert_eq!(at.see(&mail).await, Seen::Wait(DELAY), "who comes again after a day only is new");
    at.now += DAY - MINUTE;
    assert_eq!(at.see(&mail).await, Seen::Pass);
    // A delay of two days leaves room to come again.
    let slow = Greylist { delay: 2 * DAY, ..attempt("slow", "192.0.2.0/24", "a@x b@y") };
    assert_eq!(at.see(&slow).await, Seen::Wait(2 * DAY));
    at.now += 3 * DAY;
    assert_eq!(at.see(&slow).await, Seen::Pass);
}

async fn greylisting_knows_clients(store: &Store) {
    let mut at = At::new(store);
    let mail = |pair: &str| attempt("clients", "192.0.2.0/24", pair);
    for pair in ["1", "2", "3"] {
        assert_eq!(at.see(&mail(pair)).await, Seen::Wait(DELAY));
    }
    at.now += DELAY;
    for pair in ["1", "2"] {
        assert_eq!(at.see(&mail(pair)).await, Seen::Pass);
        assert_eq!(at.see(&mail(pair)).await, Seen::Known, "a pair passes once");
    }
    assert_eq!(at.see(&mail("4")).await, Seen::Wait(DELAY));
    assert_eq!(at.see(&mail("3")).await, Seen::Pass);
    assert_eq!(at.see(&mail("5")).await, Seen::Known, "three of its pairs have passed");
    assert_eq!(at.see(&attempt("clients", "198.51.100.0/24", "5")).await, Seen::Wait(DELAY));
    let never = Greylist { passes: 0, ..mail("6") };
    assert_eq!(at.see(&never).await, Seen::Wait(DELAY));
    at.now += KEEP;
    assert_eq!(at.see(&mail("5")).await, Seen::Wait(DELAY));
}

async fn greylisting_in_shadow(store: &Store) {
    let mut at = At::new(store);
    let mail = |pair: &str| Greylist { shadow: true, ..attempt("shadow", "192.0.2.0/24", pair) };
    assert_eq!(at.see(&mail("1")).await, Seen::Wait(DELAY), "it would have had to wait");
    assert_eq!(at.see(&mail("1")).await, Seen::Known, "and was accepted");
    at.now += 2 * DAY;
    for pair in ["1", "2", "3"] {
        at.see(&mail(pair)).await;
    }
    at.now += DELAY;
    assert_eq!(at.see(&mail("2")).await, Seen::Known);
    assert_eq!(at.see(&mail("4")).await, Seen::Wait(DELAY), "two came again after the delay");
    assert_eq!(at.see(&mail("3")).await, Seen::Known);
    assert_eq!(at.see(&mail("5")).await, Seen::Known, "three did");
    // What an experiment learns does not count where it is earnest, before that has begun.
    let other = attempt("apart", "192.0.2.0/24", "1");
    assert_eq!(at.see(&other).await, Seen::Wait(DELAY));
    assert_eq!(at.see(&Greylist { shadow: true, ..other }).await, Seen::Wait(DELAY));
}

async fn greylisting_is_promoted(store: &Store) {
    let mut at = At::new(store);
    let shadow = |pair: &str| Greylist { shadow: true, ..attempt("promoted", "192.0.2.0/24", pair) };
    let enforced = |pair: &str| attempt("promoted", "192.0.2.0/24", pair);
    at.see(&shadow("1")).await;
    at.now += MINUTE;
    assert_eq!(at.see(&enforced("1")).await, Seen::Known, "learnt in shadow");
    assert_eq!(at.see(&enforced("2")).await, Seen::Wait(DELAY));
    for pair in ["3", "4", "5"] {
        at.see(&shadow(pair)).await;
    }
    at.now += DELAY;
    assert_eq!(at.see(&enforced("2")).await, Seen::Pass);
    for pair in ["3", "4", "5"] {
        at.see(&shadow(pair)).await;
    }
    let stranger = attempt("promoted", "198.51.100.0/24", "1");
    assert_eq!(at.see(&stranger).await, Seen::Wait(DELAY));
    assert_eq!(at.see(&enforced("6")).await, Seen::Known, "its client is known from the time in shadow");
    at.now += KEEP - MINUTE;
    assert_eq!(at.see(&enforced("1")).await, Seen::Known);
}

async fn memory(store: &Store) {
    let mut at = At::new(store);
    let key = Key::new("spamtrap.hit:enforce", "192.0.2.0/24");
    assert!(!at.remembered(&key).await);
    at.remember(&key, MINUTE).await;
    assert!(at.remembered(&key).await);
    at.remember(&key, Duration::from_secs(1)).await;
    at.now += MINUTE - Duration::from_millis(1);
    assert!(at.remembered(&key).await, "a shorter time does not make it shorter");
    at.now += Duration::from_millis(1);
    assert!(!at.remembered(&key).await);
    at.remember(&key, MINUTE).await;
    at.now += Duration::from_secs(30);
    at.remember(&key, MINUTE).await;
    at.now += Duration::from_secs(59);
    assert!(at.remembered(&key).await, "again is longer");
}

/// Two keys are one only if both parts are equal; kinds never meet.
async fn keys_do_not_meet(store: &Store) {
    let at = At::new(store);
    at.remember(&Key::new("p.ab", "c"), MINUTE).await;
    assert!(!at.remembered(&Key::new("p.a", "bc")).await);
    assert!(at.rate("c", &[(1, MINUTE)]).await.0);
    let odd = Key::new("p.odd", "{x} \r\n\0 ü".repeat(10_000));
    at.remember(&odd, MINUTE).await;
    assert!(at.remembered(&odd).await);
}

/// All of them at once, on this task.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(Box::pin).map(Some).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        for slot in &mut waiting {
            if let Some(future) = slot
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                done.push(output);
                *slot = None;
            }
        }
        if waiting.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done
}

/// Asks for something that is not there.
pub(crate) async fn anything(store: &Store) -> Result<Outcome, gatepost::state::StoreError> {
    let key = Key::new("suite:enforce", "anything");
    store.perform(&Operation::Remembered { key }, SystemTime::now()).await
}
