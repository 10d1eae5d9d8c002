//! Keeps what is known about upstreams fresh, so that EHLO stays true between two messages.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::upstream::Upstream;

/// How often an upstream is asked what it can do.
const PROBE: Duration = Duration::from_secs(60);
/// The same for one that has never answered: until it does, clients are not offered what it can do.
const FIRST_PROBE: Duration = Duration::from_secs(5);
/// The same for one with an address that is set aside, however soon that is due.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// How long clients wait for the first answers of upstreams.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// The upstreams that are watched. Who leaves is asked no more.
#[derive(Debug, Default)]
pub(super) struct Probes(HashMap<String, Probed>);

#[derive(Debug)]
struct Probed {
    upstream: Arc<Upstream>,
    /// Ends the asking with it.
    _asking: DropGuard,
}

impl Probes {
    /// Begins to watch those that are new, and waits a little for what they say first: a client that is not offered 8BITMIME would
    /// re-encode its mail, and break its signatures.
    pub(super) async fn meet(
        &mut self,
        upstreams: &HashMap<String, Arc<Upstream>>,
        stop: &CancellationToken,
    ) {
        let (asked, mut answered) = mpsc::channel::<()>(1);
        for (name, upstream) in upstreams {
            if self.0.get(name).is_some_and(|known| Arc::ptr_eq(&known.upstream, upstream)) {
                continue;
            }
            let asking = stop.child_token();
            tokio::spawn(probe(name.clone(), Arc::clone(upstream), asking.clone(), asked.clone()));
            let probed = Probed { upstream: Arc::clone(upstream), _asking: asking.drop_guard() };
            self.0.insert(name.clone(), probed);
        }
        drop(asked);
        tokio::select! {
            () = stop.cancelled() => {}
            // The channel closes when the last of them has had its first answer.
            _ = tokio::time::timeout(PROBE_LIMIT, answered.recv()) => {}
        }
    }

    /// Forgets those that are not among `upstreams`.
    pub(super) fn retain(&mut self, upstreams: &HashMap<String, Arc<Upstream>>) {
        self.0.retain(|name, _| upstreams.contains_key(name));
    }
}

/// Asks until `stop`; `first` goes with the first answer.
async fn probe(name: String, upstream: Arc<Upstream>, stop: CancellationToken, first: mpsc::Sender<()>) {
    let mut first = Some(first);
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            asked = upstream.probe() => asked,
        };
        match asked {
            Ok(offered) => {
                if let Some(missing) = upstream.misgiving(&offered) {
                    tracing::warn!(
                        event = "identity_not_offered",
                        upstream = name,
                        missing,
                        "clients cannot be made known to it: all mail for it is deferred (451 4.3.5)"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(event = "upstream_down", upstream = name, %error, "cannot be reached");
            }
        }
        drop(first.take());
        tokio::select! {
            () = stop.cancelled() => return,
            () = pause(&upstream) => {}
        }
    }
}

/// Until an upstream is to be asked again, also when one of its addresses fails meanwhile.
async fn pause(upstream: &Upstream) {
    loop {
        let usual = if upstream.extensions().is_some() { PROBE } else { FIRST_PROBE };
        let time = upstream.next_trial().map_or(usual, |trial| trial.clamp(SHORTEST_PAUSE, usual));
        tokio::select! {
            () = tokio::time::sleep(time) => return,
            () = upstream.set_aside() => {}
        }
    }
}
