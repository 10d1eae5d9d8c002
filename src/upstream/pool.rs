//! Idle connections that belong to nobody: only where the upstream is told no identity, and only after a RSET that it
//! answered well.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connection::Connection;

/// How many connections may be idle; the one more that comes is closed.
const ROOM: usize = 32;

/// How long a connection may be idle. Mail servers wait for minutes, but they count those who wait.
const AGE: Duration = Duration::from_secs(30);

/// Idle connections to one upstream.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    /// The longest idle first.
    connections: VecDeque<(Instant, Connection)>,
    /// Whether a task is going to close what gets too old.
    watched: bool,
}

impl Pool {
    /// The connection that was idle for the shortest time, if it is still there and silent. Those that are not are
    /// closed on the way.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut idle = self.idle();
        idle.drop_old();
        while let Some((_, mut connection)) = idle.connections.pop_back() {
            match connection.wire.quiet() {
                Ok(()) => return Some(connection),
                Err(fault) => tracing::debug!(%fault, "idle upstream connection given up"),
            }
        }
        None
    }

    /// Keeps `connection` for another session. The caller has just seen its RSET answered with 2yz, and nothing
    /// unusual before.
    pub(super) fn keep(self: &Arc<Self>, connection: Connection) {
        let mut idle = self.idle();
        idle.drop_old();
        if idle.connections.len() >= ROOM {
            return;
        }
        idle.connections.push_back((Instant::now(), connection));
        if !std::mem::replace(&mut idle.watched, true) {
            tokio::spawn(close_old(Arc::downgrade(self)));
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn drop_old(&mut self) {
        while self.connections.front().is_some_and(|(since, _)| since.elapsed() >= AGE) {
            self.connections.pop_front();
        }
    }
}

/// Closes connections as they get too old, until none is left.
async fn close_old(pool: Weak<Pool>) {
    loop {
        sleep(AGE).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.idle();
        idle.drop_old();
        if idle.connections.is_empty() {
            idle.watched = false;
            return;
        }
    }
}
