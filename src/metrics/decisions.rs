//! What became of decisions on their way to those who ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::families::Families;
use super::family::Counter;

/// Why a decision is lost: the thread that keeps them fell behind, the disk failed, or it could not be written as JSON.
const REASONS: [&str; 3] = ["queue", "disk", "format"];

/// Handles for the recorder of decisions.
#[derive(Clone, Debug)]
pub struct DecisionMetrics {
    families: Families,
    recorded: Counter,
    last_loss: LastLoss,
}

/// When decisions were lost last, in seconds since 1970; 0 for never.
pub(super) type LastLoss = Arc<AtomicU64>;

impl DecisionMetrics {
    /// Handles that nobody scrapes.
    pub fn detached() -> Self {
        Self::new(&Families::detached(), &LastLoss::default())
    }

    pub(super) fn new(families: &Families, last_loss: &LastLoss) -> Self {
        for reason in REASONS {
            families.decisions_dropped_total.with([reason]);
        }
        let recorded = families.decisions_total.with([]);
        Self { families: families.clone(), recorded, last_loss: Arc::clone(last_loss) }
    }

    /// A decision was kept.
    pub fn recorded(&self) {
        self.recorded.inc();
    }

    /// So many decisions are lost: `queue`, `format`, or `disk` for those that are in memory only.
    pub fn dropped(&self, reason: &'static str, number: u64) {
        self.families.decisions_dropped_total.with([reason]).add(number);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_loss.store(now.as_secs(), Ordering::Relaxed);
    }

    /// How many were lost since the start.
    pub fn lost(&self) -> u64 {
        REASONS.iter().map(|reason| self.families.decisions_dropped_total.with([reason]).get()).sum()
    }

    /// When some were lost last; `None` for never.
    pub fn last_loss(&self) -> Option<SystemTime> {
        let at = self.last_loss.load(Ordering::Relaxed);
        (at > 0).then(|| UNIX_EPOCH + Duration::from_secs(at))
    }
}
