//! How long scripts run: in operations, and in CPU time of their thread, so that nobody is blamed for a busy machine.
//!
//! Rhai counts operations too, but begins anew from where the caller was in every call of a closure that one of its own functions
//! makes: `a.filter(|x| b.filter(|y| ...))` would have no end.
//!
//! Asking for CPU time is a system call, which on a virtual machine takes longer than many a script; asking the clock on the wall is
//! none. CPU time never runs faster than the wall's, so that what it was shortly before, and what a run took that was short by the
//! wall, need no further question.
//!
//! CPU time is not always a script's own: a virtual machine that its host lets stand still for a while counts the while as time of
//! whoever was running, on most hosts. A few operations take no milliseconds, so that the longest pause between two looks at the clock
//! is taken for such a while, and not counted. What really takes long between two looks does so again, and that is counted.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::judgement::FaultKind;

/// What is shorter than this by the wall is counted by it. That is how much more than its budget a script may get, or less.
const SHORT: Duration = Duration::from_millis(1);

thread_local! {
    /// The time of the script that runs, or ran last. It never leaves its thread while it runs.
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
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
        RUN.set(Some(Run::begin(begin, self.now, left)));
        ALLOWED.set(0);
        LEFT.set(0);
        SPENT.set(None);
        let outcome = script();
        let by_the_wall = begin.elapsed();
        if by_the_wall < SHORT {
            self.now += by_the_wall;
            return (outcome, by_the_wall);
        }
        let pause = look(|run| run.pause).unwrap_or_default();
        let before = std::mem::replace(&mut self.now, cpu_time());
        (outcome, self.now.saturating_sub(before + pause))
    }
}

/// The time of one run.
#[derive(Debug)]
struct Run {
    /// When it can be over by the wall, and when it is over by the thread's CPU time, which is what counts.
    end: (Instant, Duration),
    /// When the CPU time was known last, and what it was, or a little more.
    known: (Instant, Duration),
    /// When somebody looked at the clock last.
    looked: Instant,
    /// The CPU time of the longest pause between two looks.
    pause: Duration,
}

impl Run {
    fn begin(now: Instant, cpu_time: Duration, left: Duration) -> Self {
        Self {
            end: (now + left, cpu_time + left),
            known: (now, cpu_time),
            looked: now,
            pause: Duration::ZERO,
        }
    }

    /// Looks at the clock. What was short by the wall needs no further question here, either.
    fn look(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.looked) >= SHORT {
            let (then, cpu_time_then) = self.known;
            let cpu_time = cpu_time();
            let at_last_look = cpu_time_then + self.looked.duration_since(then);
            self.pause = self.pause.max(cpu_time.saturating_sub(at_last_look));
            self.known = (now, cpu_time);
        }
        self.looked = now;
    }

    fn is_over(&self) -> bool {
        let (by_the_wall, by_cpu_time) = self.end;
        self.looked >= by_the_wall && cpu_time() >= by_cpu_time + self.pause
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
    if SPENT.get().is_some() {
        return SPENT.get();
    }
    let allowed = ALLOWED.get();
    let more = operations.saturating_sub(allowed).min(LOOK_EVERY);
    if more == 0 {
        SPENT.set(Some(FaultKind::Operations));
    } else if allowed > 0 && look(|run| run.is_over()).unwrap_or(false) {
        SPENT.set(Some(FaultKind::Time));
    }
    let spent = SPENT.get();
    if spent.is_none() {
        ALLOWED.set(allowed + more);
        LEFT.set(more.saturating_sub(1));
    }
    spent
}

/// Ends the running script before its next operation: it asked for more than `kind` allows, where Rhai would swallow an error.
pub(super) fn exhaust(kind: FaultKind) {
    SPENT.set(Some(kind));
    LEFT.set(0);
}

/// Which budget the script used up that ran last on this thread.
pub(super) fn spent() -> Option<FaultKind> {
    SPENT.get()
}

/// What the time of the running script says, as it is now.
fn look<T>(say: impl FnOnce(&Run) -> T) -> Option<T> {
    RUN.with_borrow_mut(|run| {
        let run = run.as_mut()?;
        run.look();
        Some(say(run))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_millis(10);

    /// Takes so much CPU time in the middle of everything.
    fn burn(time: Duration) {
        let end = cpu_time() + time;
        while cpu_time() < end {}
    }

    /// As many operations as are between two looks at the clock.
    fn work() -> Option<FaultKind> {
        (0..LOOK_EVERY).find_map(|_| count(u64::MAX))
    }

    /// A guest counts the time in which its host let it stand still as CPU time of the script that was running.
    #[test]
    fn a_machine_that_stood_still_is_nobody_s_fault() {
        let mut watch = Watch::start();
        let (spent, used) = watch.measure(BUDGET, || {
            work();
            burn(3 * BUDGET);
            work().or_else(work)
        });
        assert_eq!(spent, None);
        assert!(used < BUDGET, "{used:?}");
        let (_, used) = watch.measure(BUDGET, || burn(3 * BUDGET));
        assert!(used < BUDGET, "{used:?}");
        let (spent, used) = watch.measure(BUDGET, || work().or_else(work));
        assert_eq!(spent, None, "{used:?}");
    }

    #[test]
    fn what_takes_long_again_and_again_is_over() {
        let (spent, used) = Watch::start().measure(BUDGET, || {
            for _ in 0..4 {
                burn(BUDGET + SHORT);
                if let Some(spent) = work() {
                    return Some(spent);
                }
            }
            None
        });
        assert_eq!(spent, Some(FaultKind::Time));
        assert!((BUDGET..3 * BUDGET).contains(&used), "{used:?}");
    }

    #[test]
    fn many_short_operations_are_over_in_time() {
        let begin = cpu_time();
        let (spent, used) = Watch::start().measure(BUDGET, || {
            loop {
                if let Some(spent) = work() {
                    return spent;
                }
            }
        });
        assert_eq!(spent, FaultKind::Time);
        assert!(used >= BUDGET && cpu_time() - begin >= BUDGET, "{used:?}");
    }
}
