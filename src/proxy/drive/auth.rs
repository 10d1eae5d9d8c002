//! AUTH between the session and its upstream (RFC 4954): lines go to and fro, and a login lives as long as its connection.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{COMMAND_BUDGET, Driver};
use crate::log;
use crate::proxy::wire::{self, Client};
use crate::proxy::{scene, trouble};
use crate::session::stage::{Reason, Refusal, Source};
use crate::session::{AuthOutcome, Hello};
use crate::smtp::auth::{AuthLine, Login};
use crate::smtp::reply::Reply;

impl<C: Client> Driver<C> {
    /// Says `line` to the upstream, which the first one of the session connects to.
    pub(super) async fn authenticate(&mut self, line: &AuthLine) -> Result<Reply, Refusal> {
        self.patience = Instant::now() + COMMAND_BUDGET;
        self.asked_upstream = Instant::now();
        let route = Arc::clone(self.listener.routes.default());
        self.meet_upstream(&route).await;
        let Some(upstream) = &mut self.upstream else { return Err(trouble::login_out_of_time()) };
        let asking = timeout_at(self.patience, upstream.auth(line));
        match wire::in_company(&mut self.wire, asking).await {
            Ok(answer) => answer.map_err(trouble::login),
            Err(_) => Err(trouble::login_out_of_time()),
        }
    }

    pub(super) fn authenticated(&self, login: &Login, outcome: AuthOutcome) {
        self.listener.metrics.auth(login.mechanism.name(), outcome.name());
        if outcome == AuthOutcome::Ok {
            tracing::info!(
                event = "auth",
                session = self.connection.id,
                listener = &*self.listener.name,
                client = %self.connection.peer.ip,
                mechanism = login.mechanism.name(),
                user = %log::safe(&login.user),
                "logged in"
            );
        }
    }

    /// Takes leave of the upstream, which was told the client's last name and not the one it has now. A login would go with the
    /// connection: there, the new name is told instead.
    pub(super) async fn rename(&mut self, hello: &Hello) {
        if self.session.login().is_none() {
            return self.leave_upstream().await;
        }
        let route = Arc::clone(self.listener.routes.default());
        let name = self.client_name(&route).await;
        if let Some(upstream) = &mut self.upstream {
            let client = scene::identity(&self.connection, Some(hello), name);
            wire::in_company(&mut self.wire, upstream.rename(client)).await;
        }
    }

    /// `refusal`, and the end of the session where the upstream that knew of its login is lost: another connection would not.
    pub(super) fn unless_login_is_lost(&self, refusal: Refusal) -> Refusal {
        if self.login_is_lost() { trouble::closing(refusal) } else { refusal }
    }

    /// The same for an answer of the upstream's.
    pub(super) fn with_login(&self, answer: Result<Reply, Refusal>) -> Result<Reply, Refusal> {
        match answer {
            Ok(reply) if !reply.is_completed() && self.login_is_lost() => {
                let reason = Reason::new(Source::Upstream, "rcpt");
                Err(trouble::closing(Refusal { reply, reason }))
            }
            answer => answer.map_err(|refusal| self.unless_login_is_lost(refusal)),
        }
    }

    fn login_is_lost(&self) -> bool {
        let holds = self.upstream.as_ref().is_some_and(|upstream| upstream.holds_login());
        self.session.login().is_some() && !holds
    }
}
