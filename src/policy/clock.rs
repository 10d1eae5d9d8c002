//! How long scripts run: in CPU time of their thread, so that nobody is blamed for a busy machine.
//!
//! Asking for CPU time is a system call, asking the clock on the wall is not. CPU time never runs faster than the wall's, so that a
//! run which was short by the wall needs no second question.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Runs that take less by the wall are counted by it.
const SHORT: Duration = Duration::from_millis(1);

thread_local! {
    /// When the running script's time can be over by the wall, and when it is over by the thread's CPU time, which is what counts.
    /// A script never leaves its thread while it runs.
    static END: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

/// Measures the runs of scripts that follow each other on one thread without a pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// The thread's CPU time, or at most [`SHORT`] a run more.
    now: Duration,
}

impl Watch {
    /// A watch for this thread, from now on.
    pub(super) fn start() -> Self {
        Self { now: cpu_time() }
    }

    /// Runs a script that may use so much CPU time, and says how much it used.
    pub(super) fn measure<T>(&mut self, left: Duration, script: impl FnOnce() -> T) -> (T, Duration) {
        let begin = Instant::now();
        END.set(Some((begin + left, self.now + left)));
        let outcome = script();
        let by_the_wall = begin.elapsed();
        let used = if by_the_wall < SHORT { by_the_wall } else { cpu_time().saturating_sub(self.now) };
        self.now += used;
        (outcome, used)
    }
}

/// Whether the running script must end.
pub(super) fn is_over() -> bool {
    END.get().is_some_and(|(wall, cpu)| Instant::now() >= wall && cpu_time() >= cpu)
}

/// The CPU time that this thread has used.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
