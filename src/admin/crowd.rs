//! The connections that are open at one place, how each of them stands with us, and who goes when there are too many.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

/// How many connections of strangers there may be at once at one place, and as many of those who were admitted.
pub const CONNECTIONS: usize = 64;

/// How long the connection of a stranger may last, from accept to the last byte of the answer.
pub const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// The same for those who were admitted: a reload may be waited for.
pub(super) const ADMITTED_TIME: Duration = Duration::from_secs(120);

/// How long one may last that follows sessions.
pub(super) const TRACE_TIME: Duration = Duration::from_secs(60 * 60);

/// How long answers under way have when the door closes.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// How a connection stands with us. It only ever rises.
#[derive(Debug, Default)]
pub(super) struct Standing(AtomicU8);

/// What a connection has shown of itself.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Rank {
    /// Nothing, or that it wants what everybody may have.
    Stranger,
    /// That it may see and do what is guarded.
    Admitted,
    /// That it may, and has one of the seats for those who follow sessions.
    Follower,
}

impl Standing {
    /// What it has risen to.
    pub(super) fn rank(&self) -> Rank {
        match self.0.load(Ordering::Relaxed) {
            0 => Rank::Stranger,
            1 => Rank::Admitted,
            _ => Rank::Follower,
        }
    }

    /// It has shown this.
    pub(super) fn rise(&self, rank: Rank) {
        self.0.fetch_max(rank as u8, Ordering::Relaxed);
    }

    /// Returns when a connection with this standing has lasted as long as it may.
    pub(super) async fn time_is_up(&self) {
        tokio::time::sleep(CONNECTION_TIME).await;
        if self.rank() >= Rank::Admitted {
            tokio::time::sleep(ADMITTED_TIME.saturating_sub(CONNECTION_TIME)).await;
        }
        if self.rank() >= Rank::Follower {
            tokio::time::sleep(TRACE_TIME.saturating_sub(ADMITTED_TIME)).await;
        }
    }
}

/// The connections that are open.
///
/// When there are too many of a rank, the oldest of that rank goes: so strangers, however many, take nothing from those who were
/// admitted. The seats bound the number of those who follow.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    tasks: TaskTracker,
    /// The oldest first.
    open: VecDeque<(Arc<Standing>, AbortHandle)>,
}

impl Crowd {
    pub(super) fn add(
        &mut self,
        standing: Arc<Standing>,
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        self.open.retain(|(_, task)| !task.is_finished());
        // One more stranger comes; of the others there may be too many since some rose.
        self.thin_out(Rank::Stranger, CONNECTIONS - 1);
        self.thin_out(Rank::Admitted, CONNECTIONS);
        self.open.push_back((standing, self.tasks.spawn(connection).abort_handle()));
    }

    /// Sends the oldest ones of this rank away until no more are left than these.
    fn thin_out(&mut self, rank: Rank, most: usize) {
        let is_alike = |(standing, _): &(Arc<Standing>, AbortHandle)| standing.rank() == rank;
        let alike = self.open.iter().filter(|open| is_alike(open)).count();
        for _ in most..alike {
            let oldest = self.open.iter().position(is_alike);
            if let Some((_, task)) = oldest.and_then(|oldest| self.open.remove(oldest)) {
                task.abort();
            }
        }
    }

    /// Lets the answers under way come to their end, within their time.
    pub(super) async fn finish(self) {
        self.tasks.close();
        if tokio::time::timeout(FAREWELL_TIME, self.tasks.wait()).await.is_err() {
            self.open.iter().for_each(|(_, task)| task.abort());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    /// Adds so many connections that never end and rise to a rank once they are there.
    fn crowd_in(crowd: &mut Crowd, rank: Rank, number: usize) {
        for _ in 0..number {
            let standing = Arc::<Standing>::default();
            crowd.add(Arc::clone(&standing), pending());
            standing.rise(rank);
        }
    }

    fn count(crowd: &Crowd, rank: Rank) -> usize {
        crowd.open.iter().filter(|(standing, _)| standing.rank() == rank).count()
    }

    #[tokio::test]
    async fn nobody_takes_the_place_of_another_rank() {
        let mut crowd = Crowd::default();
        for (rank, number) in [(Rank::Follower, 8), (Rank::Admitted, 200), (Rank::Stranger, 200)] {
            crowd_in(&mut crowd, rank, number);
        }
        let counts = [Rank::Stranger, Rank::Admitted, Rank::Follower].map(|rank| count(&crowd, rank));
        assert_eq!(counts, [CONNECTIONS, CONNECTIONS, 8]);
    }

    #[tokio::test]
    async fn whoever_rises_later_is_counted_with_those_that_it_joins() {
        let mut crowd = Crowd::default();
        for _ in 0..3 {
            crowd_in(&mut crowd, Rank::Stranger, CONNECTIONS);
            crowd.open.iter().for_each(|(standing, _)| standing.rise(Rank::Admitted));
            assert!(crowd.open.len() <= 2 * CONNECTIONS, "{}", crowd.open.len());
        }
        crowd_in(&mut crowd, Rank::Stranger, 1);
        assert_eq!((count(&crowd, Rank::Admitted), count(&crowd, Rank::Stranger)), (CONNECTIONS, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn each_rank_has_its_time() {
        let ranks = [
            (Rank::Stranger, CONNECTION_TIME),
            (Rank::Admitted, ADMITTED_TIME),
            (Rank::Follower, TRACE_TIME),
        ];
        for (rank, time) in ranks {
            let (standing, began) = (Standing::default(), tokio::time::Instant::now());
            standing.rise(rank);
            standing.time_is_up().await;
            assert_eq!(began.elapsed().as_secs(), time.as_secs(), "{rank:?}");
        }
    }
}
