//! One stage's turn: what the host's words read and write while a script runs.
//!
//! Every call of a script carries the [`Turn`] as its tag, so that the words find it without any ambient state. What a
//! policy orders is collected in a draft and becomes part of the turn only when its run came to an end of its own; a run
//! that stops for a missing fact leaves nothing behind.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{Dynamic, EvalAltResult, NativeCallContext, Variant};

use super::delayed::Delayed;
use super::exceptions::{Bent, Exception};
use super::judgement::{
    Action, Applied, Effects, Excused, FaultKind, Mode, Read, ReadTrace, RuleEvent, Withheld,
};
use super::memory::{Kept, Memory, NoteValue, Scope};
use super::policies::{Policies, Policy, Rule};
use super::question::{Answer, Ask, ByQuestion, Known, Question, StateQuestion};
use super::scene::Scene;
use crate::session::stage::Stage;
use crate::smtp::reply::EnhancedCode;

/// Why a script was stopped from inside: the payload of an `ErrorTerminated`, which no `catch` of a script can hold.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// An enforced rule fired.
    Ruled(Ruling),
    /// A fact is missing.
    Asked(Question),
    /// A budget is used up.
    Spent(FaultKind),
    /// A part of what is judged is not there to be read: only where a recorded decision is judged again.
    Unknown(String),
}

/// What a script gets in place of an answer that is still to be fetched. It has no properties: the run goes on until the script would
/// look at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending;

/// Answers that one run goes on without, at most.
const MAX_WANTED: usize = 16;

/// An enforced verdict.
#[derive(Clone, Debug)]
pub(super) struct Ruling {
    pub(super) rule: Arc<str>,
    pub(super) action: Action,
    pub(super) code: u16,
    pub(super) enhanced: EnhancedCode,
    pub(super) text: String,
    pub(super) place: Arc<str>,
}

/// The handle that scripts' calls carry. Cheap to clone.
#[derive(Clone)]
pub(super) struct Turn(pub(super) Arc<Shared>);

/// What stays the same during a turn, and the state behind its lock.
pub(super) struct Shared {
    pub(super) policies: Arc<Policies>,
    pub(super) scene: Scene,
    pub(super) stage: Stage,
    /// What the session remembered when the turn began.
    pub(super) facts: Arc<ByQuestion<Answer>>,
    pub(super) kept: Arc<Kept>,
    /// What is known besides.
    known: Option<Arc<dyn Known>>,
    /// What bends the modes of rules.
    bent: Bent,
    /// Uncontended: scripts of one turn run one after the other, on one thread at a time.
    state: Mutex<State>,
}

/// What changes during a turn.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The index of the policy that runs.
    pub(super) policy: usize,
    /// The facts that arrived during this turn.
    pub(super) learnt: ByQuestion<InHand>,
    /// Those of them that were known as soon as this run asked.
    pub(super) at_hand: Vec<(Question, Answer)>,
    /// The facts of earlier stages that were read in this turn.
    pub(super) remembered: ByQuestion<InHand>,
    /// What the policies that ran to their end ordered.
    pub(super) done: Draft,
    /// What they read.
    pub(super) read: Vec<ReadTrace>,
    /// What the running policy ordered so far.
    pub(super) draft: Draft,
    /// What this run asked of the memory that outlives sessions.
    pub(super) asked: Vec<Ask>,
    /// What this run went on without, in the order in which it asked. With anything in it the run is void.
    pub(super) wanted: Vec<Question>,
    /// The skips that hold for this turn.
    pub(super) skips: Vec<Arc<str>>,
    /// The first stop of this run. It counts even where Rhai's own functions swallow errors, as `sort` does with those of
    /// its comparison.
    pub(super) stopped: Option<Stop>,
}

impl State {
    /// The running policy has a fact of an earlier stage in hand.
    fn remember(&mut self, question: &Question, answer: &Answer) {
        let policy = self.policy;
        match self.remembered.get_mut(question) {
            Some(known) => known.asked_by(policy),
            None => {
                _ = self.remembered.insert(question.clone(), InHand::of(answer.clone(), Some(policy)));
            }
        }
    }

    /// Forgets what a run left that did not come to its end.
    pub(super) fn begin_run(&mut self) {
        if !self.draft.is_empty() {
            self.draft = Draft::default();
        }
        self.asked.clear();
        self.wanted.clear();
        self.stopped = None;
    }

    /// What the run of `policy` read and ordered counts. Most runs order nothing: the draft is used again.
    pub(super) fn commit(&mut self, policy: &Arc<str>) {
        if !self.draft.reads.is_empty() {
            let reads = std::mem::take(&mut self.draft.reads);
            self.read.push(ReadTrace { policy: Arc::clone(policy), reads });
        }
        self.skips.extend(self.draft.scope.skips.iter().cloned());
        self.done.absorb(&mut self.draft);
    }
}

/// An answer, and the policies that had it in hand.
#[derive(Debug)]
pub(super) struct InHand {
    pub(super) answer: Answer,
    /// The index of the first of them.
    first: Option<usize>,
    /// Those of the others; most answers have none.
    others: Vec<usize>,
}

impl InHand {
    pub(super) const fn of(answer: Answer, asker: Option<usize>) -> Self {
        Self { answer, first: asker, others: Vec::new() }
    }

    /// The indices of all.
    pub(super) fn askers(&self) -> impl Iterator<Item = usize> {
        self.first.iter().chain(&self.others).copied()
    }

    fn asked_by(&mut self, policy: usize) {
        match self.first {
            None => self.first = Some(policy),
            Some(first) if first == policy || self.others.contains(&policy) => {}
            Some(_) => self.others.push(policy),
        }
    }
}

/// What one run of one policy, or all of them together, ordered.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) events: Vec<RuleEvent>,
    pub(super) effects: Effects,
    pub(super) scope: Scope,
    pub(super) applied: Vec<Applied>,
    pub(super) withheld: Vec<Withheld>,
    pub(super) ordered: Vec<Withheld>,
    /// What the run of one policy read. It becomes a [`ReadTrace`] when that has come to its end.
    pub(super) reads: Vec<Arc<Read>>,
    pub(super) excused: Vec<Excused>,
    /// How often this run asked for something to happen, by the question.
    pub(super) occurrences: HashMap<String, u32>,
}

/// Reads, and effects in words, of one run that are kept to be explained.
const MAX_TOLD: usize = 64;

impl Draft {
    /// Notes down what was read, once.
    pub(super) fn read(&mut self, read: Arc<Read>) {
        if self.reads.len() < MAX_TOLD && !self.reads.contains(&read) {
            self.reads.push(read);
        }
    }

    /// Keeps a refusal for RCPT.
    pub(super) fn delay(&mut self, delayed: Delayed) {
        self.order(delayed.by(), "refuse at rcpt".to_owned());
        self.scope.put_delayed(delayed);
    }

    /// Notes down an effect that counts.
    pub(super) fn order(&mut self, by: &Arc<str>, effect: String) {
        if self.ordered.len() < MAX_TOLD {
            self.ordered.push(Withheld { by: Arc::clone(by), effect, action: None });
        }
    }

    fn is_empty(&self) -> bool {
        let Self { events, effects, scope, applied, withheld, ordered, reads, excused, occurrences } = self;
        let has_told = !events.is_empty() || !reads.is_empty() || !ordered.is_empty() || !excused.is_empty();
        let has_done = !effects.is_empty() || !applied.is_empty() || !withheld.is_empty();
        !has_told && !has_done && scope.is_empty() && occurrences.is_empty()
    }

    /// Adds what `newer` holds, and leaves it empty.
    fn absorb(&mut self, newer: &mut Self) {
        self.events.append(&mut newer.events);
        if !newer.effects.is_empty() {
            self.effects.absorb(std::mem::take(&mut newer.effects));
        }
        if !newer.scope.is_empty() {
            self.scope.absorb(std::mem::take(&mut newer.scope));
        }
        self.applied.append(&mut newer.applied);
        self.withheld.append(&mut newer.withheld);
        self.ordered.append(&mut newer.ordered);
        self.excused.append(&mut newer.excused);
        newer.occurrences.clear();
    }

    /// Notes down that an exception softened a rule, once.
    fn excuse(&mut self, rule: &Arc<str>, mode: Mode, why: &Arc<str>) {
        if !self.excused.iter().any(|old| old.rule == *rule) {
            self.excused.push(Excused { rule: Arc::clone(rule), mode, why: Arc::clone(why) });
        }
    }
}

impl Turn {
    pub(super) fn new(
        policies: Arc<Policies>,
        scene: Scene,
        memory: &Memory,
        known: Option<Arc<dyn Known>>,
    ) -> Self {
        let (facts, kept) = (Arc::clone(&memory.facts), Arc::clone(&memory.kept));
        let stage = scene.moment.stage();
        let bent = Bent::of(&scene, &policies.exceptions, &policies.domains);
        let state = State { skips: kept.skips(&scene), ..State::default() };
        Self(Arc::new(Shared { policies, scene, stage, facts, kept, known, bent, state: Mutex::new(state) }))
    }

    /// The turn that the call of a host's word belongs to.
    pub(super) fn of(call: &NativeCallContext<'_>) -> Result<Self, Box<EvalAltResult>> {
        let turn = call.tag().and_then(|tag| tag.read_lock::<Self>().map(|turn| turn.clone()));
        turn.ok_or_else(|| fault(call, "this can only be said in a stage's function"))
    }

    /// The state. A panic under the lock leaves nothing half-done that matters: the run it belonged to is dropped.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The policy that runs.
    pub(super) fn policy(&self) -> Option<&Policy> {
        let index = self.state().policy;
        self.0.policies.policy(index)
    }

    /// The mode of a rule of the running policy, skips counted, and its full name.
    pub(super) fn rule(&self, rule: &str) -> Option<(Arc<str>, Mode)> {
        let policy = self.policy()?;
        let known = policy.rules.get(rule)?;
        if let Some(coverage) = &self.0.policies.coverage {
            coverage.reached(&known.id);
        }
        let mut state = self.state();
        let skipped =
            !policy.gate && (state.skips.contains(&known.id) || state.draft.scope.skips.contains(&known.id));
        if skipped {
            return Some((Arc::clone(&known.id), Mode::Off));
        }
        let (mode, exception) = self.mode_of(policy, Some(known));
        if let Some(exception) = exception {
            state.draft.excuse(&known.id, mode, &exception.why);
        }
        Some((Arc::clone(&known.id), mode))
    }

    /// The mode of the running policy's effects without a rule.
    pub(super) fn mode(&self) -> Mode {
        self.policy().map_or(Mode::Off, |policy| self.mode_of(policy, None).0)
    }

    /// The mode of a rule, or of effects without one: exception, the recipient's domain, what was configured. With the
    /// exception, where one made it softer.
    fn mode_of(&self, policy: &Policy, rule: Option<&Rule>) -> (Mode, Option<&Exception>) {
        let configured = rule.map_or(policy.mode, |rule| rule.mode);
        let (policies, bent) = (&self.0.policies, &self.0.bent);
        if bent.is_straight() || policy.gate {
            return (configured, None);
        }
        let wishes = bent.domain().and_then(|domain| policies.domains.wishes.get(domain));
        let wished = wishes.and_then(|wishes| wishes.mode(&policy.name, rule)).unwrap_or(configured);
        let holding = bent.exceptions().filter_map(|index| policies.exceptions.get(index));
        let own = holding.filter(|exception| exception.is_about(&policy.name, rule));
        match own.max_by_key(|exception| exception.mode.softness()) {
            Some(exception) if exception.mode.softness() > wished.softness() => {
                (exception.mode, Some(exception))
            }
            _ => (wished, None),
        }
    }

    /// Whether a verdict of this stage waits for a recipient.
    pub(super) fn delays(&self, action: Action) -> bool {
        let refuses = matches!(action, Action::Reject | Action::Defer | Action::Disconnect);
        refuses && self.0.policies.refuse_at.delays(self.0.stage)
    }

    /// Whether a recipient could make a rule softer than it is now, or whatever a policy says.
    pub(super) fn awaits_recipient(&self, policy: &Policy, rule: Option<&Rule>) -> bool {
        let policies = &self.0.policies;
        let might_hold = |exception: &Exception| {
            exception.awaits_recipient(&self.0.scene) && exception.is_about(&policy.name, rule)
        };
        !policy.gate
            && (policies.exceptions.iter().any(might_hold) || policies.domains.soften(&policy.name, rule))
    }

    /// The mode that a rule of an earlier stage has for this recipient. What this generation does not know stays enforced.
    pub(super) fn mode_now(&self, policy: &str, rule: &Arc<str>) -> Mode {
        let Some(policy) = self.0.policies.named(policy) else { return Mode::Enforce };
        let Some(known) = policy.rules.values().find(|known| known.id == *rule) else { return Mode::Enforce };
        let (_, exception) = self.mode_of(policy, Some(known));
        // It was enforced when it spoke: nothing but what is about the recipient changes that.
        let wished = self.0.bent.domain().and_then(|domain| self.0.policies.domains.wishes.get(domain));
        let wished = wished.and_then(|wishes| wishes.mode(&policy.name, Some(known)));
        match exception {
            Some(exception) => {
                self.state().done.excuse(rule, exception.mode, &exception.why);
                exception.mode
            }
            None => wished.unwrap_or(Mode::Enforce),
        }
    }

    /// The same for a policy that failed: it is silent where all that it could do is softened.
    pub(super) fn mode_of_failure(&self, policy: &str) -> Mode {
        let is_soft = self.0.policies.named(policy).is_some_and(|policy| !self.is_enforced(policy));
        if is_soft { Mode::Off } else { Mode::Enforce }
    }

    /// Whether a fault of `policy` may touch mail: not when all that it could do is in shadow.
    pub(super) fn is_enforced(&self, policy: &Policy) -> bool {
        if self.0.bent.is_straight() {
            return policy.enforced;
        }
        let is_enforced = |rule: Option<&Rule>| self.mode_of(policy, rule).0 == Mode::Enforce;
        if policy.rules.is_empty() {
            is_enforced(None)
        } else {
            policy.rules.values().any(|rule| is_enforced(Some(rule)))
        }
    }

    /// The answer to `question`, or the stop that fetches it.
    pub(super) fn fact(
        &self,
        call: &NativeCallContext<'_>,
        question: Question,
    ) -> Result<Answer, Box<EvalAltResult>> {
        self.known(&question).ok_or_else(|| self.stop(call, Stop::Asked(question)))
    }

    /// The answer to `question`, `read` into what the script sees. One that is missing and costs little stops the run only when the
    /// script looks at it, so that everything that is asked for before that is fetched together.
    pub(super) fn object<T: Variant + Clone>(
        &self,
        call: &NativeCallContext<'_>,
        question: Question,
        read: impl FnOnce(Answer) -> T,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        if let Some(known) = self.known(&question) {
            return Ok(Dynamic::from(read(known)));
        }
        let mut state = self.state();
        let is_wanted = state.wanted.contains(&question);
        if !question.is_cheap() || (!is_wanted && state.wanted.len() == MAX_WANTED) {
            drop(state);
            return Err(self.stop(call, Stop::Asked(question)));
        }
        if !is_wanted {
            state.wanted.push(question);
        }
        Ok(Dynamic::from(Pending))
    }

    fn known(&self, question: &Question) -> Option<Answer> {
        if let Some(known) = self.0.facts.get(question) {
            self.state().remember(question, known);
            return Some(known.clone());
        }
        let mut state = self.state();
        let policy = state.policy;
        if let Some(learnt) = state.learnt.get_mut(question) {
            learnt.asked_by(policy);
            return Some(learnt.answer.clone());
        }
        // What is too much is asked for like what is not known, and refused there.
        if state.at_hand.len() >= self.0.policies.budget.facts {
            return None;
        }
        let answer = self.0.known.as_ref()?.known(question)?;
        state.learnt.insert(question.clone(), InHand::of(answer.clone(), Some(policy)));
        state.at_hand.push((question.clone(), answer.clone()));
        Some(answer)
    }

    /// The answer to one question to the memory that outlives sessions, or the stop that asks it: once for each time that a
    /// run gets there.
    pub(super) fn ask_state(
        &self,
        call: &NativeCallContext<'_>,
        ask: Ask,
    ) -> Result<Answer, Box<EvalAltResult>> {
        let policy = self.policy().map_or_else(|| Arc::from(""), |policy| Arc::clone(&policy.name));
        let occurrence = {
            let mut state = self.state();
            let occurrence = state.asked.iter().filter(|earlier| **earlier == ask).count();
            state.asked.push(ask.clone());
            occurrence
        };
        self.fact(call, Question::State(StateQuestion { policy, occurrence, ask }))
    }

    /// The running policy, and how often it asked the like of `question` in this run before: what makes a question of its own
    /// of each time that something is to happen.
    pub(super) fn occurrence(&self, question: &str) -> (Arc<str>, u32) {
        let policy = self.policy().map(|policy| Arc::clone(&policy.name)).unwrap_or_default();
        let mut state = self.state();
        let count = state.draft.occurrences.entry(question.to_owned()).or_default();
        let nth = *count;
        *count = nth.saturating_add(1);
        (policy, nth)
    }

    /// The note `policy.key` that the running policy may see.
    pub(super) fn noted(&self, key: &str) -> Option<NoteValue> {
        let sees_shadow = self.sees_shadow();
        let state = self.state();
        let scopes = [&state.draft.scope, &state.done.scope].into_iter().chain(self.0.kept.session_scopes());
        scopes.filter_map(|scope| scope.note(key, sees_shadow)).next().cloned()
    }

    /// The sum of the scores that hold at this moment and that the running policy may see.
    pub(super) fn total_score(&self) -> f64 {
        let sees_shadow = self.sees_shadow();
        let state = self.state();
        self.0.kept.total_score(&self.0.scene.moment, [&state.done.scope, &state.draft.scope], sees_shadow)
    }

    /// Whether the running policy is in shadow, and sees what others in shadow noted.
    pub(super) fn sees_shadow(&self) -> bool {
        self.mode() == Mode::Shadow
    }

    /// The error that ends the script for `stop`.
    pub(super) fn stop(&self, call: &NativeCallContext<'_>, stop: Stop) -> Box<EvalAltResult> {
        self.state().stopped.get_or_insert_with(|| stop.clone());
        Box::new(EvalAltResult::ErrorTerminated(Dynamic::from(stop), call.call_position()))
    }

    /// `file:line` of the call.
    pub(super) fn place(&self, call: &NativeCallContext<'_>) -> Arc<str> {
        let file = self.policy().map_or("", |policy| &policy.file);
        let line = call.call_position().line().unwrap_or(0);
        format!("{file}:{line}").into()
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("stage", &self.0.stage)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// A policy fault at the place of the call.
pub(super) fn fault(call: &NativeCallContext<'_>, message: impl Into<String>) -> Box<EvalAltResult> {
    raise(call, Fault { kind: FaultKind::Script, message: message.into() })
}

/// Something grew too large. Not an `ErrorDataTooLarge`: on its way up Rhai takes the place from those.
pub(super) fn too_large(call: &NativeCallContext<'_>, what: &str) -> Box<EvalAltResult> {
    raise(call, Fault { kind: FaultKind::Size, message: format!("{what} too large, or too many") })
}

fn raise(call: &NativeCallContext<'_>, fault: Fault) -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(fault), call.call_position()))
}

/// The payload of the host's own faults, which tells them from a script's `throw`.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) message: String,
}
