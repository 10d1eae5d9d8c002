//! The message on its way through: stored while it arrives, examined when it is there, booked when it is gone.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::timeout_at;

use super::{Driver, Message};
use crate::proxy::intake::Intake;
use crate::proxy::wire::{self, Client};
use crate::proxy::{scene, trouble};
use crate::session::stage::Refusal;
use crate::session::{Finished, Outcome};

impl<C: Client> Driver<C> {
    pub(super) fn begin_message(&mut self) {
        let facts = Arc::clone(&self.listener.facts);
        let intake = Intake::begin(facts, &self.listener.spooler, self.listener.header_limit);
        self.message = Message::Arriving(Box::new(intake));
    }

    pub(super) async fn store(&mut self, piece: Bytes) {
        let Message::Arriving(intake) = &mut self.message else { return };
        let stored = if intake.touches_disk(&piece) {
            Box::pin(self.store_on_disk(piece)).await
        } else {
            intake.store(&piece)
        };
        if let Err(refusal) = stored {
            self.session.spoil(refusal);
        }
    }

    pub(super) async fn store_on_disk(&mut self, piece: Bytes) -> Result<(), Refusal> {
        let Message::Arriving(intake) = std::mem::replace(&mut self.message, Message::Absent) else {
            return Ok(());
        };
        self.message = Message::Gone(intake.size());
        let (intake, stored) = intake.store_aside(piece).await?;
        self.message = Message::Arriving(intake);
        stored
    }

    /// The final dot: seals the spool, and does what checks are still to do.
    pub(super) async fn complete_message(&mut self) -> Result<(), Refusal> {
        self.books.message_complete();
        let Message::Arriving(intake) = std::mem::replace(&mut self.message, Message::Absent) else {
            return Ok(());
        };
        let (received, check) = intake.seal().await?;
        let examining = timeout_at(self.patience, self.judge.examine(*check));
        if wire::in_company(&mut self.wire, examining).await.is_err() {
            return Err(trouble::out_of_time());
        }
        self.message = Message::Complete(Box::new(received), Box::default());
        Ok(())
    }

    pub(super) async fn finish(&mut self, finished: Finished) {
        let size = match std::mem::replace(&mut self.message, Message::Absent) {
            Message::Absent => 0,
            Message::Arriving(intake) => intake.size(),
            Message::Complete(received, _) => received.size,
            Message::Gone(size) => size,
        };
        let here =
            scene::here(&self.session, &self.connection, &self.listener, &self.judge, self.upstream.as_ref());
        let login = self.session.login().is_some();
        let route = self.listener.routes.taken(&finished.transaction, login).map(|upstream| upstream.name());
        let reply = self.books.finished(here, route, &finished, size);
        if let Some(reply) = reply {
            self.queue(&reply);
            self.untold = (finished.outcome == Some(Outcome::Accepted)).then(|| Box::new(reply));
        }
        self.judge.end_transaction();
        if let Some(upstream) = &mut self.upstream {
            wire::in_company(&mut self.wire, upstream.reset()).await;
        }
    }
}
