//! How long scripts run: in operations, and in CPU time of their thread, so that nobody is blamed for a busy machine.
//!
//! Rhai counts operations too, but begins anew from where the caller was in every call of a closure that one of its own functions
//! makes: `a.filter(|x| b.filter(|y| ...))` would have no end.
//!
//! Asking for CPU time is a system call, which on a virtual machine takes longer than many a script; asking the clock on the wall is
//! none. CPU time never runs faster than the wall's, so that what it was shortly before, and what a run took that was short by the
//! wall, need no further question.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::judgement::FaultKind;

/// What is shorter than this by the wall is counted by it. That is how much more than its budget a script may get, or less.
const SHORT: Duration = Duration::from_millis(1);

thread_local! {
    /// When the running script's time can be over by the wall, and when it is over by the thread's CPU time, which is what counts.
    /// A script never leaves its thread while it runs.
    static END: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
    /// When this thread was asked last for its CPU time, and what it was.
    static ASKED: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
    /// The operations that the running script was allowed so far, those of its closures counted.
    static ALLOWED: Cell<u64> = const { Cell::new(0) };
    /// How many of them are left.
    static LEFT: Cell<u64> = const { Cell::new(0) };
    /// Which budget of the running script is used up: Rhai's own `sort` would swallow it.
    static SPENT: Cell<Option<FaultKind>> = const { Cell::new(None) };
}

/// Operations between two looks at the clock. Some of Gatepost's own functions take a while over a long text.
const LOOK_EVERY: u64 = 16;

/// Measures the runs of scripts that follow each other on one thread without a pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// The thread's CPU time, or a little more: at most [`SHORT`] at the start and for each run.
    now: Duration,
}

impl Watch {
    /// A watch for this thread, from now on.
    pub(super) fn start() -> Self {
        Self { now: recent_cpu_time() }
    }

    /// Runs a script that may use so much CPU time, and says how much it used.
    pub(super) fn measure<T>(&mut self, left: Duration, script: impl FnOnce() -> T) -> (T, Duration) {
        let begin = Instant::now();
        END.set(Some((begin + left, self.now + left)));
        ALLOWED.set(0);
        LEFT.set(0);
        SPENT.set(None);
        let outcome = script();
        let by_the_wall = begin.elapsed();
        let used = if by_the_wall < SHORT { by_the_wall } else { cpu_time().saturating_sub(self.now) };
        self.now += used;
        (outcome, used)
    }
}

/// Counts one operation of the running script, which may have so many. Which budget is used up, if one is.
#[inline]
pub(super) fn count(operations: u64) -> Option<FaultKind> {
    match LEFT.get().checked_sub(1) {
        Some(left) => {
            LEFT.set(left);
            None
        }
        None => allow_more(operations),
    }
}

/// Allows the running script the next few operations, one of which is used at once, if both budgets have more.
fn allow_more(operations: u64) -> Option<FaultKind> {
    let allowed = ALLOWED.get();
    let more = operations.saturating_sub(allowed).min(LOOK_EVERY);
    if more == 0 {
        SPENT.set(Some(FaultKind::Operations));
    } else if allowed > 0 && is_over() {
        SPENT.set(Some(FaultKind::Time));
    }
    let spent = SPENT.get();
    if spent.is_none() {
        ALLOWED.set(allowed + more);
        LEFT.set(more.saturating_sub(1));
    }
    spent
}

/// Which budget the script used up that ran last on this thread.
pub(super) fn spent() -> Option<FaultKind> {
    SPENT.get()
}

fn is_over() -> bool {
    END.get().is_some_and(|(wall, cpu)| Instant::now() >= wall && cpu_time() >= cpu)
}

/// The CPU time that this thread has used, or up to [`SHORT`] more.
fn recent_cpu_time() -> Duration {
    if let Some((then, cpu_time)) = ASKED.get() {
        let passed = then.elapsed();
        if passed < SHORT {
            return cpu_time + passed;
        }
    }
    let now = cpu_time();
    ASKED.set(Some((Instant::now(), now)));
    now
}

/// The CPU time that this thread has used.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
