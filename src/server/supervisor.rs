//! What whoever started us is told (`sd_notify(3)`): ready, reloading, stopping, alive. Without `NOTIFY_SOCKET` nobody is.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Every listener is bound, and sessions are served; also after a reload.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// A reload was asked for; [`ready`] follows, whether it was taken or refused.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]),
        // Without the time systemd would not take the word for it.
        Err(error) => tracing::debug!(%error, "the clock cannot be read"),
    }
}

/// No session is taken any more; so many are left.
pub(super) fn draining(sessions: usize) {
    let status = format!("draining, {sessions} sessions left");
    tell(&[NotifyState::Stopping, NotifyState::Status(&status)]);
}

/// Says again and again that we are alive, where that is asked for (`WatchdogSec=`), until `stop`.
///
/// Each time a task is sent through the runtime first: when it does not come back, its threads are stuck, nothing is said, and
/// systemd starts us anew.
pub async fn watch(stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    // Half of the limit, as sd_watchdog_enabled(3) advises; never so short that it would be work.
    let pause = (limit / 2).max(Duration::from_millis(10));
    loop {
        if tokio::spawn(std::future::ready(())).await.is_ok() {
            tell(&[NotifyState::Watchdog]);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
