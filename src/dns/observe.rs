//! What metrics may see of every look-up.

use std::fmt;
use std::time::Duration;

use super::answer::{Answers, Failure, Kind, Trouble};

/// Hears of every look-up once it is answered. Called on the hot path: it must not block.
pub trait Observe: fmt::Debug + Send + Sync {
    /// One look-up is answered.
    fn looked_up(&self, lookup: &Lookup);
}

/// Nobody looks.
impl Observe for () {
    fn looked_up(&self, _: &Lookup) {}
}

/// One look-up and how it went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lookup {
    /// What was asked for.
    pub kind: Kind,
    /// What came.
    pub outcome: Outcome,
    /// The answer came from our cache, without a query.
    pub cached: bool,
    /// How long it took; zero when it came from the cache.
    pub elapsed: Duration,
    /// Nothing has been answered for a while, whoever's names were asked for: the servers fail, or the way to them. Not known of
    /// what came from the cache.
    pub servers_fail: bool,
}

/// How a look-up went: a closed set, fit for a label.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// There are records.
    Ok,
    /// The name has no such records.
    NoData,
    /// There is no such name.
    NxDomain,
    /// No usable answer in time.
    Timeout,
    /// Another temporary failure.
    Error,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Ok, Self::NoData, Self::NxDomain, Self::Timeout, Self::Error];

    /// The word for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NoData => "nodata",
            Self::NxDomain => "nxdomain",
            Self::Timeout => "timeout",
            Self::Error => "error",
        }
    }

    pub(super) fn of<A: AsRef<Answers>>(answer: &Result<A, Failure>) -> Self {
        match answer {
            Ok(_) => Self::Ok,
            Err(Failure::NoData) => Self::NoData,
            Err(Failure::NxDomain) => Self::NxDomain,
            Err(Failure::Temporary(Trouble::Timeout)) => Self::Timeout,
            Err(Failure::Temporary(_)) => Self::Error,
        }
    }
}
