//! What comes out of a stage: the verdict, and everything that the operator wants to know about it.

use std::sync::Arc;
use std::time::Duration;

use super::question::{Answer, Question};
use crate::message::edit::NewField;
use crate::session::stage::{RecipientChange, Verdict};
use crate::smtp::path::ForwardPath;

/// How far a rule's word counts.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Mode {
    /// It decides.
    #[default]
    Enforce,
    /// It is evaluated, counted and logged, and decides nothing.
    Shadow,
    /// It says nothing.
    Off,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Enforce, Self::Shadow, Self::Off];

    /// The word in policies, configuration and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }

    /// The order in which modes give way: an exception makes a rule softer and never harder.
    pub(super) const fn softness(self) -> u8 {
        match self {
            Self::Enforce => 0,
            Self::Shadow => 1,
            Self::Off => 2,
        }
    }

    /// The mode with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// What a rule does when it fires, or what a policy orders.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Action {
    /// `reject`: a 5yz reply.
    Reject,
    /// `defer`: a 4yz reply.
    Defer,
    /// `disconnect`: a reply, and the connection closes.
    Disconnect,
    /// `discard`: 250, and the mail vanishes.
    Discard,
    /// `quarantine`: 250, and the mail is kept away from its recipients.
    Quarantine,
    /// `limit_size`: 552 when the message turns out to be larger.
    LimitSize,
    /// `hold`: one recipient's copy goes to the quarantine.
    Hold,
    /// `drop`: one recipient's copy vanishes.
    Drop,
    /// `score`: points for a rule further on to judge.
    Score,
    /// `redirect`: the mail goes to another address.
    Redirect,
    /// `add_recipient`: the mail goes to one more address.
    AddRecipient,
    /// `remove_recipient`: the mail does not go to an address.
    RemoveRecipient,
    /// `tarpit`: the reply takes its time.
    Tarpit,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 13] = [
        Self::Reject,
        Self::Defer,
        Self::Disconnect,
        Self::Discard,
        Self::Quarantine,
        Self::LimitSize,
        Self::Hold,
        Self::Drop,
        Self::Score,
        Self::Redirect,
        Self::AddRecipient,
        Self::RemoveRecipient,
        Self::Tarpit,
    ];

    /// The word in policies and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Defer => "defer",
            Self::Disconnect => "disconnect",
            Self::Discard => "discard",
            Self::Quarantine => "quarantine",
            Self::LimitSize => "limit_size",
            Self::Hold => "hold",
            Self::Drop => "drop",
            Self::Score => "score",
            Self::Redirect => "redirect",
            Self::AddRecipient => "add_recipient",
            Self::RemoveRecipient => "remove_recipient",
            Self::Tarpit => "tarpit",
        }
    }

    /// The word for what a rule in this mode does: [`name`](Self::name) or [`would_name`](Self::would_name).
    pub const fn name_in(self, mode: Mode) -> &'static str {
        match mode {
            Mode::Enforce => self.name(),
            Mode::Shadow | Mode::Off => self.would_name(),
        }
    }

    /// The word for what a rule in [`Mode::Shadow`] would have done.
    pub const fn would_name(self) -> &'static str {
        match self {
            Self::Reject => "would_reject",
            Self::Defer => "would_defer",
            Self::Disconnect => "would_disconnect",
            Self::Discard => "would_discard",
            Self::Quarantine => "would_quarantine",
            Self::LimitSize => "would_limit_size",
            Self::Hold => "would_hold",
            Self::Drop => "would_drop",
            Self::Score => "would_score",
            Self::Redirect => "would_redirect",
            Self::AddRecipient => "would_add_recipient",
            Self::RemoveRecipient => "would_remove_recipient",
            Self::Tarpit => "would_tarpit",
        }
    }

    /// Whether it ends the script, so that rules behind it have no turn.
    pub const fn is_verdict(self) -> bool {
        matches!(self, Self::Reject | Self::Defer | Self::Disconnect | Self::Discard | Self::Quarantine)
    }

    /// How many arguments a word takes that names a rule and no codes.
    pub(super) const fn arguments(self) -> usize {
        match self {
            Self::Hold | Self::Drop => 3,
            _ => 2,
        }
    }
}

/// The outcome of one stage.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What is to happen.
    pub verdict: Verdict,
    /// What policies ordered beside it. They count whatever the verdict is.
    pub effects: Effects,
    /// The rules that fired, in order, verdicts and effects alike; at most one verdict is enforced, and then it is the last.
    pub events: Vec<RuleEvent>,
    /// The effects without a rule that are applied, and that somebody may want to find again.
    pub applied: Vec<Applied>,
    /// The effects that policies in shadow asked for, in words.
    pub withheld: Vec<Withheld>,
    /// The rules that would have fired harder, and the exceptions that softened them.
    pub excused: Vec<Excused>,
    /// The scripts that failed, in order.
    pub errors: Vec<ScriptFault>,
    /// How long each policy that had a say took.
    pub timings: Vec<Timing>,
    /// The facts that the policies had in hand: first those that were fetched, in the order in which they arrived, then those
    /// of earlier stages, in no order.
    pub facts: Vec<FactTrace>,
    /// The effects that were ordered and count, in words.
    pub ordered: Vec<Withheld>,
    /// The settings and lists that each policy read, with what they said.
    pub reads: Vec<ReadTrace>,
    /// The policies and rules that were skipped.
    pub skipped: Vec<Arc<str>>,
}

impl Judgement {
    /// "No objection", from nobody.
    pub fn pass() -> Self {
        Self {
            verdict: Verdict::Pass,
            effects: Effects::default(),
            events: Vec::new(),
            applied: Vec::new(),
            withheld: Vec::new(),
            excused: Vec::new(),
            errors: Vec::new(),
            timings: Vec::new(),
            facts: Vec::new(),
            ordered: Vec::new(),
            reads: Vec::new(),
            skipped: Vec::new(),
        }
    }
}

/// Orders that end no script. Notes, skips, tags and size limits are kept by [`super::Memory`].
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// Header fields to add and to remove, in the order in which they were asked for. Only at `message`.
    pub headers: Vec<HeaderEdit>,
    /// Why a DMARC failure does not count, for `Authentication-Results` and reports (RFC 9990). Only at `message`.
    pub dmarc_override: Option<String>,
    /// What becomes of single recipients, in the order in which it was asked for. Only at `data` and `message`.
    pub recipients: Vec<RecipientChange>,
    /// The address that gets the mail in place of the recipient in question. Only at `rcpt`.
    pub redirect: Option<Box<ForwardPath>>,
    /// How long the reply is to take: the longest time that was asked for.
    pub tarpit: Option<Duration>,
}

impl Effects {
    pub(super) fn is_empty(&self) -> bool {
        let Self { headers, dmarc_override, recipients, redirect, tarpit } = self;
        let is_of_message = !headers.is_empty() || dmarc_override.is_some() || !recipients.is_empty();
        !is_of_message && redirect.is_none() && tarpit.is_none()
    }

    pub(super) fn absorb(&mut self, newer: Self) {
        self.headers.extend(newer.headers);
        if newer.dmarc_override.is_some() {
            self.dmarc_override = newer.dmarc_override;
        }
        self.recipients.extend(newer.recipients);
        if newer.redirect.is_some() {
            self.redirect = newer.redirect;
        }
        self.tarpit = self.tarpit.max(newer.tarpit);
    }
}

/// An effect without a rule that was applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Applied {
    /// The policy.
    pub by: Arc<str>,
    /// What it did.
    pub action: Action,
    /// The effect, such as `redirect alice@example.org`; control characters are not escaped.
    pub effect: String,
    /// `file:line` of the call.
    pub place: Arc<str>,
}

/// One change to the message's header.
#[derive(Clone, Debug)]
pub enum HeaderEdit {
    /// Put this field above all others.
    Prepend(NewField),
    /// Put this field below all others.
    Append(NewField),
    /// Take out every field of this name (lower case).
    Remove(String),
}

/// A rule that fired.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleEvent {
    /// `policy.rule`.
    pub rule: Arc<str>,
    /// What it does.
    pub action: Action,
    /// Enforced or in shadow.
    pub mode: Mode,
    /// `file:line` of the verdict.
    pub place: Arc<str>,
    /// The rule in shadow that fired earlier in the same run: if it were enforced, this one would not have had a turn.
    pub after: Option<Arc<str>>,
}

impl RuleEvent {
    /// The action in metrics: `reject`, or `would_reject` in shadow.
    pub const fn action_name(&self) -> &'static str {
        self.action.name_in(self.mode)
    }
}

/// An effect: one that was ordered, or one that was not applied because its policy is in shadow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Withheld {
    /// The policy, or `policy.rule` where the effect names a rule.
    pub by: Arc<str>,
    /// The effect, such as `tag dmarc=quarantine`; control characters are not escaped.
    pub effect: String,
    /// What would have been counted, had it been applied.
    pub action: Option<Action>,
}

/// A rule that an exception of the configuration softened where it had something to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Excused {
    /// `policy.rule`.
    pub rule: Arc<str>,
    /// What the exception made of its mode: with [`Mode::Off`] it left no other trace.
    pub mode: Mode,
    /// Why the exception is there.
    pub why: Arc<str>,
}

/// A setting or list that a script read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Read {
    /// What was read: `setting size.max_size`, or `list partners` with what was looked for.
    pub what: String,
    /// What it said.
    pub value: String,
}

/// What one policy read at one stage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReadTrace {
    /// The policy.
    pub policy: Arc<str>,
    /// Each once, in the order in which it was read.
    pub reads: Vec<Arc<Read>>,
}

/// A script that failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScriptFault {
    /// The policy.
    pub policy: Arc<str>,
    /// The kind of failure.
    pub kind: FaultKind,
    /// `file:line:column`; without line and column where the engine knows none (exhausted budgets).
    pub place: String,
    /// What happened, at most 400 characters. It may hold text of the client's.
    pub message: String,
}

/// How a script can fail.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FaultKind {
    /// A runtime error: a misspelt property, a wrong type, an index out of bounds.
    Script,
    /// The script's own `throw`.
    Thrown,
    /// The time budget is used up.
    Time,
    /// The operations are used up.
    Operations,
    /// It asked for too many facts.
    Facts,
    /// A text, array, map or note grew too large.
    Size,
    /// Functions called each other too deeply.
    Depth,
    /// A function of Gatepost's own panicked: a bug.
    Panic,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Script,
        Self::Thrown,
        Self::Time,
        Self::Operations,
        Self::Facts,
        Self::Size,
        Self::Depth,
        Self::Panic,
    ];

    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Thrown => "thrown",
            Self::Time => "time",
            Self::Operations => "operations",
            Self::Facts => "facts",
            Self::Size => "size",
            Self::Depth => "depth",
            Self::Panic => "panic",
        }
    }

    /// Whether a budget is exhausted. A sender chooses how much work its mail makes, so that such a fault always defers,
    /// whatever `on_error` says.
    pub const fn is_budget(self) -> bool {
        match self {
            Self::Time | Self::Operations | Self::Facts | Self::Size | Self::Depth => true,
            Self::Script | Self::Thrown | Self::Panic => false,
        }
    }
}

/// A fact that policies had in hand at one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct FactTrace {
    /// The policy that asked first; empty for a remembered fact.
    pub policy: Arc<str>,
    /// The other policies that had it in hand; all of them for a remembered fact.
    pub also: Vec<Arc<str>>,
    /// What was asked; it may hold text of the client's.
    pub question: Question,
    /// What the answer was, whole; it may hold text of others'.
    pub answer: Answer,
    /// The time from the question to the answer; `None` for a fact that the session remembered from an earlier stage.
    pub took: Option<Duration>,
}

impl FactTrace {
    /// A fact that was read from the session's memory.
    pub(super) fn remembered(question: Question, answer: Answer, askers: Vec<Arc<str>>) -> Self {
        Self { policy: Arc::default(), also: askers, question, answer, took: None }
    }
}

/// How long a policy took at one stage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Timing {
    /// The policy.
    pub policy: Arc<str>,
    /// CPU time of the thread, summed over the reruns.
    pub spent: Duration,
}
