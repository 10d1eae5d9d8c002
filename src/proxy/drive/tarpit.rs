//! A reply that takes its time.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::Driver;
use crate::proxy::tarpit::bounded;
use crate::proxy::wire::{Client, Wire};

impl<C: Client> Driver<C> {
    /// Lets time go by before the reply to the command at hand. What was to be said before is said first; what the client has
    /// sent behind its command waits; a client that leaves is not waited for.
    pub(super) async fn tarpit(&mut self, wanted: Duration) {
        let time = bounded(wanted, self.tarpitted);
        if time.is_zero() {
            return;
        }
        let metrics = self.listener.metrics.clone();
        let Some(_place) = self.listener.tarpits.enter() else { return metrics.tarpit("no_room") };
        let begun = Instant::now();
        metrics.tarpit_begun();
        let ended = if self.flush().await.is_err() { "client_gone" } else { self.idle(begun + time).await };
        metrics.tarpit_ended();
        metrics.tarpit(ended);
        self.tarpitted = self.tarpitted.saturating_add(begun.elapsed());
        if ended == "client_gone" {
            // The next read or write says so.
            self.wire = None;
        }
    }

    /// Waits until `due`, and says how that ended.
    async fn idle(&mut self, due: Instant) -> &'static str {
        loop {
            // What is there already is enough to go on with; one more piece is read to see whether the client is there at all.
            let listens = !self.session.has_unread();
            let read = tokio::select! {
                () = sleep_until(due) => return "waited",
                () = self.end.now.cancelled() => return "shutdown",
                read = heard(&mut self.wire), if listens => read,
            };
            match read {
                Ok(bytes) if !bytes.is_empty() => self.session.receive(bytes),
                _ => return "client_gone",
            }
        }
    }
}

async fn heard<C: Client>(wire: &mut Option<Wire<C>>) -> io::Result<Bytes> {
    match wire {
        Some(wire) => wire.read(false).await,
        None => Err(io::ErrorKind::NotConnected.into()),
    }
}
