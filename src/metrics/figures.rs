//! What rules and policies did since the start, as an operator asks for it: how often, when last, how long it took.
//!
//! Prometheus has the same as series over time. This answers at once, without one, and knows the last time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Runs of one policy at one stage whose times are kept: the median is that of the last so many.
const KEPT: usize = 128;
/// Rules, and policies at their stages, that have figures; they are the operator's, and this is far more than anyone has.
const MAX_ENTRIES: usize = 20_000;

/// What was counted up to now.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Figures {
    /// By rule.
    pub rules: Vec<RuleFigures>,
    /// By policy and stage.
    pub policies: Vec<PolicyFigures>,
}

/// What a rule did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleFigures {
    /// `policy.rule`.
    pub rule: Arc<str>,
    /// How often it fired, in shadow too.
    pub hits: u64,
    /// When it fired last.
    pub last: SystemTime,
}

/// What a policy cost at a stage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyFigures {
    /// The policy.
    pub policy: Arc<str>,
    /// The stage's name.
    pub stage: &'static str,
    /// How often it was asked.
    pub runs: u64,
    /// The median of the CPU time of its last runs.
    pub median: Duration,
}

/// The counters behind [`Figures`].
#[derive(Debug, Default)]
pub(super) struct Tally {
    rules: Mutex<BTreeMap<Arc<str>, Arc<Hits>>>,
    policies: Mutex<BTreeMap<(Arc<str>, &'static str), Runs>>,
}

#[derive(Debug, Default)]
struct Hits {
    count: AtomicU64,
    /// Seconds since 1970.
    last: AtomicU64,
}

/// The last times, in microseconds, the oldest overwritten first.
#[derive(Debug, Default)]
struct Runs {
    count: u64,
    micros: Vec<u32>,
}

impl Tally {
    /// A rule fired at `when`.
    pub(super) fn hit(&self, rule: &str, when: SystemTime) {
        let Some(hits) = self.hits(rule) else { return };
        hits.count.fetch_add(1, Ordering::Relaxed);
        let seconds = when.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        hits.last.fetch_max(seconds, Ordering::Relaxed);
    }

    fn hits(&self, rule: &str) -> Option<Arc<Hits>> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hits) = rules.get(rule) {
            return Some(Arc::clone(hits));
        }
        let room = rules.len() < MAX_ENTRIES;
        room.then(|| Arc::clone(rules.entry(rule.into()).or_default()))
    }

    /// A policy was asked.
    pub(super) fn ran(&self, policy: &Arc<str>, stage: &'static str, spent: Duration) {
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(policy), stage);
        if policies.len() < MAX_ENTRIES || policies.contains_key(&key) {
            policies.entry(key).or_default().add(spent);
        }
    }

    /// Everything, by name.
    pub(super) fn figures(&self) -> Figures {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = rules.iter().map(|(rule, hits)| RuleFigures {
            rule: Arc::clone(rule),
            hits: hits.count.load(Ordering::Relaxed),
            last: UNIX_EPOCH + Duration::from_secs(hits.last.load(Ordering::Relaxed)),
        });
        let rules = rules.collect();
        let policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        let policies = policies.iter().map(|((policy, stage), runs)| PolicyFigures {
            policy: Arc::clone(policy),
            stage,
            runs: runs.count,
            median: runs.median(),
        });
        Figures { rules, policies: policies.collect() }
    }
}

impl Runs {
    fn add(&mut self, spent: Duration) {
        let micros = u32::try_from(spent.as_micros()).unwrap_or(u32::MAX);
        let place = usize::try_from(self.count % KEPT as u64).unwrap_or(0);
        match self.micros.get_mut(place) {
            Some(oldest) => *oldest = micros,
            None => self.micros.push(micros),
        }
        self.count += 1;
    }

    fn median(&self) -> Duration {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        Duration::from_micros(middle.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_times_and_medians() {
        let (tally, policy): (_, Arc<str>) = (Tally::default(), "helo".into());
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        tally.hit("helo.bare-ip", at(20));
        tally.hit("helo.bare-ip", at(10));
        tally.hit("dmarc.reject", at(5));
        for micros in [5, 1, 100, 2, 3] {
            tally.ran(&policy, "helo", Duration::from_micros(micros));
        }
        let figures = tally.figures();
        let rule = |rule: &str, hits, last| RuleFigures { rule: rule.into(), hits, last: at(last) };
        assert_eq!(figures.rules, [rule("dmarc.reject", 1, 5), rule("helo.bare-ip", 2, 20)]);
        let median = Duration::from_micros(3);
        assert_eq!(
            figures.policies,
            [PolicyFigures { policy: Arc::clone(&policy), stage: "helo", runs: 5, median }]
        );
        for _ in 0..1_000 {
            tally.ran(&policy, "helo", Duration::from_micros(7));
        }
        let [figures] = tally.figures().policies.try_into().unwrap();
        assert_eq!(
            (figures.runs, figures.median),
            (1_005, Duration::from_micros(7)),
            "the old ones are forgotten"
        );
    }
}
