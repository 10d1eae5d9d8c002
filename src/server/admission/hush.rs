//! Keeps a flood out of the log.

use std::time::{Duration, Instant};

/// Lines for each span of time.
const LINES: u32 = 10;
/// That span.
const SPAN: Duration = Duration::from_secs(1);

/// Lets so many lines through in each second, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Hush {
    /// When the span at hand began; `None` before the first line.
    began: Option<Instant>,
    said: u32,
    held_back: u64,
}

impl Hush {
    /// Whether a line may be written now, and if so, how many were held back since the last one.
    pub(super) fn ask(&mut self, now: Instant) -> Option<u64> {
        if self.began.is_none_or(|began| now >= began + SPAN) {
            self.began = Some(now);
            self.said = 0;
        }
        if self.said >= LINES {
            self.held_back += 1;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_writes_few_lines_and_none_is_forgotten() {
        let (mut hush, begin) = (Hush::default(), Instant::now());
        let said = (0..1000).filter(|_| hush.ask(begin).is_some()).count();
        assert_eq!(said, 10);
        assert_eq!(hush.ask(begin + SPAN), Some(990));
        assert_eq!(hush.ask(begin + SPAN), Some(0));
    }
}
