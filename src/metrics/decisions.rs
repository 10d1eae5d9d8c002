//! What became of decisions on their way to those who ask.

use super::families::Families;
use super::family::Counter;

/// Why a decision is lost: the thread that keeps them fell behind, the disk failed, or it could not be written as JSON.
const REASONS: [&str; 3] = ["queue", "disk", "format"];

/// Handles for the recorder of decisions.
#[derive(Clone, Debug)]
pub struct DecisionMetrics {
    families: Families,
    recorded: Counter,
}

impl DecisionMetrics {
    /// Handles that nobody scrapes.
    pub fn detached() -> Self {
        Self::new(&Families::detached())
    }

    pub(super) fn new(families: &Families) -> Self {
        for reason in REASONS {
            families.decisions_dropped_total.with([reason]);
        }
        Self { families: families.clone(), recorded: families.decisions_total.with([]) }
    }

    /// A decision was kept.
    pub fn recorded(&self) {
        self.recorded.inc();
    }

    /// So many decisions are lost: `queue`, `format`, or `disk` for those that are in memory only.
    pub fn dropped(&self, reason: &'static str, number: u64) {
        self.families.decisions_dropped_total.with([reason]).add(number);
    }
}
