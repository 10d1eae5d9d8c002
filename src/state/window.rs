//! Sliding windows: at most so many within any period, in a bounded number of slots.
//!
//! A period is cut into [`SLOTS`] slots, and the slot that began before the period did counts whole. So there are never more
//! than the limit within any period; a place becomes free again up to one slot late. `rate.lua` does the same in Redis.

use std::time::Duration;

use super::operation::{Counted, Limit, Millis, millis};

/// Slots of one period.
pub(super) const SLOTS: u64 = 16;

/// How many happened in one limit's window.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Window {
    /// The period, in milliseconds.
    pub(super) period: Millis,
    /// Slots by their number since 1970, oldest first, with what happened in each; at most twice [`SLOTS`] and one, the second
    /// half only where clocks ran ahead.
    pub(super) slots: Vec<(u64, u32)>,
}

/// The length of a slot, in milliseconds.
pub(super) fn slot_length(period: Millis) -> Millis {
    period.div_ceil(SLOTS).max(1)
}

/// Counts one more in all windows of a key, unless one of them is full.
pub(super) fn count(windows: &mut Vec<Window>, limits: &[Limit], now: Millis) -> Counted {
    let limits = limits.get(..Limit::MOST).unwrap_or(limits);
    let mut kept: Vec<Window> = limits.iter().map(|limit| take(windows, millis(limit.period))).collect();
    for window in &mut kept {
        window.forget(now);
    }
    let waits = kept.iter().zip(limits).map(|(window, limit)| window.free_in(limit.count, now));
    let wait = waits.max().unwrap_or(0);
    if wait == 0 {
        kept.iter_mut().for_each(|window| window.add(now));
    }
    let count = kept.first().map_or(0, Window::total);
    *windows = kept;
    Counted { fits: wait == 0, count, retry_after: Duration::from_millis(wait) }
}

/// When everything in these windows will be over.
pub(super) fn expires(windows: &[Window]) -> Millis {
    let ends = windows.iter().filter_map(|window| Some(window.end_of(window.slots.last()?.0)));
    ends.max().unwrap_or(0)
}

/// The window of this period: the one that was kept, or an empty one.
fn take(windows: &mut [Window], period: Millis) -> Window {
    let found = windows.iter_mut().find(|window| window.period == period);
    found.map(std::mem::take).unwrap_or_else(|| Window { period, slots: Vec::new() })
}

impl Window {
    fn forget(&mut self, now: Millis) {
        let length = slot_length(self.period);
        let oldest = now.saturating_sub(self.period) / length;
        // What a clock counted that ran far ahead would never be over.
        let newest = now / length + SLOTS;
        self.slots.retain(|(slot, _)| (oldest..=newest).contains(slot));
    }

    fn total(&self) -> u32 {
        self.slots.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// How long until there is room for one more; 0 for now.
    fn free_in(&self, most: u32, now: Millis) -> Millis {
        let mut left = self.total();
        let mut free = 0;
        for (slot, count) in &self.slots {
            if left < most {
                break;
            }
            left = left.saturating_sub(*count);
            free = self.end_of(*slot);
        }
        // Without any room at all nobody will ever have some; the period is as good a time as any.
        if left >= most { self.period } else { free.saturating_sub(now) }
    }

    /// When a slot counts no more.
    fn end_of(&self, slot: u64) -> Millis {
        slot.saturating_add(1).saturating_mul(slot_length(self.period)).saturating_add(self.period)
    }

    fn add(&mut self, now: Millis) {
        let slot = now / slot_length(self.period);
        match self.slots.binary_search_by_key(&slot, |(slot, _)| *slot) {
            Ok(at) => _ = self.slots.get_mut(at).map(|(_, count)| *count = count.saturating_add(1)),
            Err(at) => self.slots.insert(at, (slot, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(count: u32, seconds: u64) -> Limit {
        Limit { count, period: Duration::from_secs(seconds) }
    }

    proptest! {
        /// Whatever comes when, no stretch of time as long as the period has more than the limit.
        #[test]
        fn never_more_than_the_limit_in_any_period(
            steps in proptest::collection::vec(0_u64..4_000, 1..300),
            most in 1_u32..20,
            seconds in 1_u64..30,
        ) {
            let limits = [limit(most, seconds)];
            let (mut windows, mut now, mut taken) = (Vec::new(), 1_800_000_000_123, Vec::new());
            for step in steps {
                now += step;
                if count(&mut windows, &limits, now).fits {
                    taken.push(now);
                }
                let since = taken.iter().filter(|then| **then + seconds * 1_000 > now).count();
                prop_assert!(since <= most as usize);
                prop_assert!(windows[0].slots.len() <= SLOTS as usize + 1);
            }
        }

        /// Who waits as long as it was told is let in.
        #[test]
        fn the_time_to_wait_is_true(most in 1_u32..20, seconds in 1_u64..3_600, step in 0_u64..900) {
            let limits = [limit(most, seconds)];
            let (mut windows, mut now) = (Vec::new(), 1_800_000_000_123);
            let over = loop {
                let counted = count(&mut windows, &limits, now);
                if !counted.fits { break counted; }
                now += step;
                if step * u64::from(most) >= seconds * 1_000 { return Ok(()); }
            };
            let wait = millis(over.retry_after);
            prop_assert!(wait <= seconds * 1_000 + 2 * slot_length(seconds * 1_000));
            prop_assert!(!count(&mut windows.clone(), &limits, now + wait - 1).fits);
            prop_assert!(count(&mut windows, &limits, now + wait).fits);
        }
    }

    #[test]
    fn a_limit_of_none_lets_none_through() {
        let counted = count(&mut Vec::new(), &[limit(0, 60)], 1_000_000);
        assert_eq!(counted, Counted { fits: false, count: 0, retry_after: Duration::from_secs(60) });
    }
}
