//! Exceptions: rules softened for some clients, recipients or listeners.

use std::sync::Arc;

use jiff::civil::Date;

use super::domains::Domains;
use super::judgement::Mode;
use super::lists::{EntrySet, Networks};
use super::policies::Rule;
use super::scene::{Moment, RcptScene, Scene};

/// One exception, ready to be asked. Its conditions hold together; one that is not there holds always.
#[derive(Clone, Debug)]
pub(super) struct Exception {
    /// The policy that it softens.
    pub(super) policy: Arc<str>,
    /// `policy.rule`, where it softens one rule only.
    pub(super) rule: Option<Arc<str>>,
    /// [`Mode::Shadow`] or [`Mode::Off`].
    pub(super) mode: Mode,
    pub(super) clients: Option<Networks>,
    pub(super) recipients: Option<EntrySet>,
    pub(super) listeners: Vec<Arc<str>>,
    /// The conditions as the operator wrote them.
    pub(super) written: String,
    pub(super) until: Option<Date>,
    pub(super) why: Arc<str>,
}

/// An exception as the operator sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExceptionInfo {
    /// The policy, or `policy.rule`.
    pub target: Arc<str>,
    /// What it makes of their mode.
    pub mode: Mode,
    /// For whom, as in the configuration; empty for everybody.
    pub conditions: String,
    /// The last day on which it holds.
    pub until: Option<Date>,
    /// Why it is there.
    pub why: Arc<str>,
}

impl Exception {
    /// Whether it holds for this scene.
    pub(super) fn holds(&self, scene: &Scene) -> bool {
        self.is_for(scene)
            && self.recipients.as_ref().is_none_or(|recipients| has_all(recipients, &scene.moment))
    }

    /// Whether it holds for this scene with the right recipient.
    pub(super) fn awaits_recipient(&self, scene: &Scene) -> bool {
        self.recipients.is_some() && self.is_for(scene)
    }

    /// Whether it is for this client on this listener.
    fn is_for(&self, scene: &Scene) -> bool {
        let listener = &scene.session.listener;
        (self.listeners.is_empty() || self.listeners.contains(listener))
            && self.clients.as_ref().is_none_or(|clients| clients.contains(scene.session.client.ip))
    }

    /// Whether it is about this rule of this policy, or about the policy where there is no rule.
    pub(super) fn is_about(&self, policy: &str, rule: Option<&Rule>) -> bool {
        *self.policy == *policy
            && self.rule.as_ref().is_none_or(|own| rule.is_some_and(|rule| rule.id == *own))
    }

    pub(super) fn info(&self) -> ExceptionInfo {
        ExceptionInfo {
            target: Arc::clone(self.rule.as_ref().unwrap_or(&self.policy)),
            mode: self.mode,
            conditions: self.written.clone(),
            until: self.until,
            why: Arc::clone(&self.why),
        }
    }
}

/// Whether every recipient that the stage is about is among `wanted`, and there is one.
fn has_all(wanted: &EntrySet, moment: &Moment) -> bool {
    let has = |rcpt: &Arc<RcptScene>| wanted.contains(rcpt.address.address());
    match moment {
        Moment::Rcpt(_, rcpt) => has(rcpt),
        Moment::Data(mail) | Moment::Message(mail, _) => {
            !mail.recipients.is_empty() && mail.recipients.iter().all(has)
        }
        _ => false,
    }
}

/// What bends the modes of rules for one scene: its exceptions, and the wishes of the recipient's domain.
#[derive(Clone, Debug, Default)]
pub(super) struct Bent {
    /// The exceptions that hold, by their places.
    exceptions: Vec<usize>,
    /// At `rcpt`: the recipient's domain, if it wishes other modes.
    domain: Option<Arc<str>>,
}

impl Bent {
    /// What bends modes for `scene`, by these exceptions and wishes.
    pub(super) fn of(scene: &Scene, exceptions: &[Exception], domains: &Domains) -> Self {
        let holding = exceptions.iter().enumerate().filter(|(_, exception)| exception.holds(scene));
        let domain = match &scene.moment {
            Moment::Rcpt(_, rcpt) => domains.of(rcpt.address.domain()),
            _ => None,
        };
        let wishes = domain.filter(|(_, wishes)| !wishes.modes.is_empty());
        Self {
            exceptions: holding.map(|(index, _)| index).collect(),
            domain: wishes.map(|(name, _)| Arc::clone(name)),
        }
    }

    /// Whether every mode is as it is configured.
    pub(super) const fn is_straight(&self) -> bool {
        self.exceptions.is_empty() && self.domain.is_none()
    }

    /// The places of the exceptions that hold.
    pub(super) fn exceptions(&self) -> impl Iterator<Item = usize> {
        self.exceptions.iter().copied()
    }

    /// The domain whose modes count.
    pub(super) fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }
}
