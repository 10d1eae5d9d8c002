//! A store that fails is left alone for a while, so that no session waits for what will not come.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which the store is left alone.
const FAILURES: u32 = 5;
/// For how long at first; twice as long after each trial that failed.
const SHORTEST: Duration = Duration::from_secs(1);
/// For how long at most: so soon after it is back, it is used again.
const LONGEST: Duration = Duration::from_secs(15);

/// Opens after several failures in a row, and lets a single operation through from time to time. When that works, it closes.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    pause: Duration,
    /// When one may be tried.
    until: Instant,
}

/// That an operation may be tried.
#[derive(Debug)]
pub(super) struct Permit {
    /// Whether the store's return depends on it.
    trial: bool,
}

impl Permit {
    /// Whether this one is to find out if the store is back.
    pub(super) const fn is_trial(&self) -> bool {
        self.trial
    }
}

/// What the end of an operation changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// From now on the store is left alone.
    Opened,
    /// It is back.
    Closed,
}

impl Breaker {
    /// Whether an operation may be tried now. While the breaker is open one is, now and then; a trial that is never told the
    /// end of does not keep the next one away.
    pub(super) fn permit(&self) -> Option<Permit> {
        let mut state = self.state();
        let Some(open) = &mut state.open else { return Some(Permit { trial: false }) };
        let now = Instant::now();
        if now < open.until {
            return None;
        }
        open.until = now + open.pause;
        Some(Permit { trial: true })
    }

    /// An operation that was permitted has ended.
    #[allow(clippy::needless_pass_by_value, reason = "a permit is for one operation")]
    pub(super) fn record(&self, permit: Permit, worked: bool) -> Change {
        let mut state = self.state();
        if worked {
            state.failures = 0;
            return if state.open.take().is_some() { Change::Closed } else { Change::None };
        }
        state.failures = state.failures.saturating_add(1);
        let too_many = state.failures >= FAILURES;
        let now = Instant::now();
        match &mut state.open {
            Some(open) if permit.trial => {
                open.pause = (open.pause * 2).min(LONGEST);
                open.until = now + open.pause;
                Change::None
            }
            // Those that were under way when it opened fail one after the other: that is no news.
            Some(_) => Change::None,
            None if too_many => {
                state.open = Some(Open { pause: SHORTEST, until: now + SHORTEST });
                Change::Opened
            }
            None => Change::None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker) -> Change {
        let permit = breaker.permit().unwrap();
        breaker.record(permit, false)
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_tries_ever_more_rarely_and_closes() {
        let breaker = Breaker::default();
        for _ in 1..FAILURES {
            assert_eq!(fail(&breaker), Change::None);
        }
        assert_eq!(fail(&breaker), Change::Opened);
        for pause in [1, 2, 4, 8, 15, 15] {
            assert!(breaker.permit().is_none());
            tokio::time::advance(Duration::from_secs(pause)).await;
            assert_eq!(fail(&breaker), Change::None);
        }
        tokio::time::advance(LONGEST).await;
        let trial = breaker.permit().unwrap();
        assert!(breaker.permit().is_none(), "one trial at a time");
        assert_eq!(breaker.record(trial, true), Change::Closed);
        assert!(breaker.permit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_works_in_between_starts_the_count_anew() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            (1..FAILURES).for_each(|_| assert_eq!(fail(&breaker), Change::None));
            let permit = breaker.permit().unwrap();
            assert_eq!(breaker.record(permit, true), Change::None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_under_way_when_it_opens_do_not_prolong_it() {
        let breaker = Breaker::default();
        let late: Vec<_> = (0..100).map(|_| breaker.permit().unwrap()).collect();
        let changes: Vec<_> = late.into_iter().map(|permit| breaker.record(permit, false)).collect();
        assert_eq!(changes.iter().filter(|change| **change == Change::Opened).count(), 1);
        tokio::time::advance(SHORTEST).await;
        assert!(breaker.permit().is_some());
    }
}
