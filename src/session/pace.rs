//! How fast a message must come: an average, so that a client which trickles does not stay for as long as it likes.

use std::time::{Duration, Instant};

use super::{Mode, Session};

/// Until when the next octets of a message are waited for.
///
/// The client begins with a credit of patience. Time uses it up, and each octet earns some back: as long as one would take at the
/// slowest rate allowed. It never has more than it began with, so that neither a burst at the beginning nor a long message buys
/// a pause that is longer than the patience.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    patience: Duration,
    /// Octets a second; 0 for any: each piece then gives all of the credit back.
    rate: u64,
    due: Instant,
}

impl Pace {
    const fn begin(patience: Duration, rate: u64, due: Instant) -> Self {
        Self { patience, rate, due }
    }

    fn arrived(&mut self, octets: u64, now: Instant) {
        let full = now + self.patience;
        let nanos = octets.saturating_mul(1_000_000_000).checked_div(self.rate);
        self.due = nanos.map_or(full, |nanos| full.min(self.due + Duration::from_nanos(nanos)));
    }
}

impl Session {
    /// Notes what arrived since the last call: half a command is no progress, any octet of a message is.
    pub(super) fn keep_pace(&mut self, now: Instant) {
        let arrived = std::mem::take(&mut self.arrived);
        if !self.is_in_message() {
            self.pace = None;
            return;
        }
        let (patience, rate) = (self.terms.timeouts.data, self.terms.limits.min_data_rate);
        let pace = self.pace.get_or_insert_with(|| Pace::begin(patience, rate, now + patience));
        if arrived > 0 {
            pace.arrived(arrived, now);
            self.progress = now;
        }
    }

    /// Whether a message arrives, be it between two of its chunks.
    pub(super) const fn is_in_message(&self) -> bool {
        matches!(self.mode, Mode::Body(_) | Mode::Chunk(_)) || self.is_between_chunks()
    }

    /// When the client has been too slow with its message, or silent for too long.
    pub(super) fn message_due(&self) -> Instant {
        self.pace.map_or(self.progress + self.terms.timeouts.data, |pace| pace.due)
    }

    /// Whether octets of the message came all the same, only too few of them.
    pub(super) fn trickles(&self, now: Instant) -> bool {
        now < self.progress + self.terms.timeouts.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn seconds_left(pace: &Pace, begin: Instant) -> u64 {
        pace.due.duration_since(begin).as_secs()
    }

    #[test]
    fn octets_earn_time_and_never_more_than_there_was() {
        let begin = Instant::now();
        let mut pace = Pace::begin(180 * SECOND, 100, begin + 180 * SECOND);
        pace.arrived(1, begin + 100 * SECOND);
        assert_eq!(seconds_left(&pace, begin), 180);
        pace.arrived(5_000, begin + 100 * SECOND);
        assert_eq!(seconds_left(&pace, begin), 230);
        pace.arrived(u64::MAX, begin + 100 * SECOND);
        assert_eq!(seconds_left(&pace, begin), 280);
    }

    #[test]
    fn without_a_rate_each_piece_earns_everything() {
        let begin = Instant::now();
        let mut pace = Pace::begin(180 * SECOND, 0, begin + 180 * SECOND);
        pace.arrived(1, begin + 170 * SECOND);
        assert_eq!(seconds_left(&pace, begin), 350);
    }
}
