//! One stage being judged: policies in order, stopped for facts and run again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rhai::{Dynamic, EvalAltResult, ImmutableString};

use super::clock::{self, Watch};
use super::delayed::{self, Delayed};
use super::engine::{Mail, Message, Rcpt, Session};
use super::faults;
use super::judgement::{Action, FactTrace, FaultKind, Judgement, Mode, RuleEvent, ScriptFault, Timing};
use super::memory::Memory;
use super::policies::{Policies, Policy};
use super::question::{Answer, Known, Question};
use super::rulings::{failure, verdict};
use super::scene::{Moment, Scene};
use super::sources::OnError;
use super::turn::{Draft, InHand, Ruling, State, Stop, Turn};
use crate::session::stage::{Stage, Verdict};

/// One stage on its way to a [`Judgement`].
///
/// Call [`step`](Self::step) until it is done; for each question that it asks, call [`answer`](Self::answer), then step again. A
/// run that is dropped instead leaves no trace in the memory.
#[derive(Debug)]
pub struct StageRun {
    turn: Option<Turn>,
    plan: Arc<[usize]>,
    /// How many of the plan are done.
    position: usize,
    arguments: Arguments,
    /// What enforced policies used, and what policies in shadow used.
    used: [Used; 2],
    /// What the running policy used, its earlier runs counted.
    spent: Duration,
    /// Whether it was seen what the policies behind the first that waited will want.
    looked_ahead: bool,
    /// What that took. A budget of its own: nobody fails for what another one did before its turn.
    ahead: Duration,
    open: Vec<Open>,
    judgement: Judgement,
}

/// What a [`StageRun`] needs next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// The answers to these. The run goes on as soon as the first is there; the others will most likely be asked for next, and
    /// may come later or never.
    Ask(Vec<Question>),
    /// What nobody has: a part of a recorded scene that was not recorded. There is no judgement.
    Unknown(String),
    /// Nothing: [`StageRun::finish`] has the judgement.
    Done,
}

/// A question that is open.
#[derive(Debug)]
struct Open {
    question: Question,
    /// The policy that asked it.
    policy: Arc<str>,
    /// Whether the run waited for it already.
    is_needed: bool,
}

/// The part of the budget that is gone.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    time: Duration,
    facts: usize,
}

/// How one run of one policy ended.
enum Ending {
    /// It had no objection.
    Passed,
    Ruled(Ruling),
    /// For the first of these the run has to wait; the others it will need too.
    Asked(Question, Vec<Question>),
    Unknown(String),
    Failed(ScriptFault),
}

impl StageRun {
    pub(super) fn new(
        policies: &Arc<Policies>,
        scene: Scene,
        memory: &Memory,
        known: impl FnOnce() -> Option<Arc<dyn Known>>,
    ) -> Self {
        let plan = delayed::plan(policies, &scene, &memory.kept);
        let (turn, arguments) = if plan.is_empty() {
            (None, Arguments::default())
        } else {
            let turn = Turn::new(Arc::clone(policies), scene, memory, known());
            (Some(turn.clone()), Arguments::new(turn))
        };
        let mut run = Self {
            turn,
            plan,
            position: 0,
            arguments,
            used: [Used::default(); 2],
            spent: Duration::ZERO,
            looked_ahead: false,
            ahead: Duration::ZERO,
            open: Vec::new(),
            judgement: Judgement::pass(),
        };
        run.recall();
        run
    }

    /// A refusal of an earlier stage that was kept for this recipient speaks before any policy of this stage.
    fn recall(&mut self) {
        if let Some(verdict) = self.turn.as_ref().and_then(delayed::recall) {
            self.judgement.verdict = verdict;
            self.position = self.plan.len();
        }
    }

    /// Goes on until an answer is missing or the judgement is found. Never blocks, and never takes longer than the budget and, to look
    /// ahead, half of it.
    pub fn step(&mut self) -> Step {
        let Some(turn) = self.turn.clone() else { return Step::Done };
        let mut watch = Watch::start();
        while self.judgement.verdict == Verdict::Pass
            && let Some(policy) = self.enter(&turn)
        {
            match self.call(&turn, policy, &mut watch) {
                Ending::Passed => self.commit(&turn, policy),
                Ending::Ruled(ruling) => self.rule(&turn, policy, ruling),
                Ending::Asked(needed, more) => match self.ask(&turn, policy, &needed) {
                    Ok(()) => return self.wait_for(&turn, policy, needed, more, &mut watch),
                    Err(fault) => self.fail(&turn, policy, fault),
                },
                Ending::Unknown(what) => return Step::Unknown(what),
                Ending::Failed(fault) => self.fail(&turn, policy, fault),
            }
        }
        Step::Done
    }

    /// Hands in the answer to a question that [`step`](Self::step) asked, and how long it took to find.
    pub fn answer(&mut self, question: Question, answer: Answer, took: Duration) {
        let Some(turn) = &self.turn else { return };
        let asked = self.open.iter().position(|open| open.question == question);
        let policy = asked.map(|at| self.open.swap_remove(at).policy).unwrap_or_default();
        turn.state().learnt.insert(question.clone(), InHand::of(answer.clone(), None));
        self.judgement.facts.push(FactTrace { policy, also: Vec::new(), question, answer, took: Some(took) });
    }

    /// The judgement; what policies ordered and learnt goes into `memory`. Called before [`Step::Done`] it says what was found so
    /// far.
    pub fn finish(self, memory: &mut Memory) -> Judgement {
        let mut judgement = self.judgement;
        let Some(turn) = self.turn else { return judgement };
        let State { done, read, learnt, remembered, skips, .. } = std::mem::take(&mut *turn.state());
        let moment = turn.0.scene.moment.clone();
        for fact in &mut judgement.facts {
            let Some(known) = learnt.get(&fact.question) else { continue };
            fact.also = names(&turn, known).filter(|name| *name != fact.policy).collect();
        }
        let remembered = remembered.into_iter().map(|(question, known)| {
            let names = names(&turn, &known).collect();
            FactTrace::remembered(question, known.answer, names)
        });
        judgement.facts.extend(remembered);
        // The memory is not shared any more, so that writing to it copies nothing.
        drop(self.arguments);
        drop(turn);
        memory.learn(learnt.into_iter().map(|(question, known)| (question, known.answer)));
        memory.keep(
            &moment,
            judgement.verdict == Verdict::Pass,
            done.effects.redirect.as_deref(),
            done.scope,
        );
        judgement.effects = done.effects;
        judgement.events = done.events;
        judgement.applied = done.applied;
        judgement.withheld = done.withheld;
        judgement.excused = done.excused;
        judgement.ordered = done.ordered;
        judgement.reads = read;
        judgement.skipped = skips;
        judgement
    }

    /// The next policy that has a say, made the running one. A skipped one has none.
    fn enter<'t>(&mut self, turn: &'t Turn) -> Option<&'t Policy> {
        loop {
            let index = *self.plan.get(self.position)?;
            let policy = turn.0.policies.policy(index)?;
            let mut state = turn.state();
            if policy.gate || !state.skips.iter().any(|skip| **skip == *policy.name) {
                state.policy = index;
                return Some(policy);
            }
            self.position += 1;
        }
    }

    /// Runs the policy's function once.
    fn call(&mut self, turn: &Turn, policy: &Policy, watch: &mut Watch) -> Ending {
        let left = turn.0.policies.budget.time.saturating_sub(self.used(policy).time);
        let (outcome, spent) = watch.measure(left, || run_script(turn, policy, &mut self.arguments));
        self.used(policy).time += spent;
        self.spent += spent;
        match self.take_known(turn, policy) {
            Ok(()) => ending(turn, policy, outcome),
            Err(fault) => Ending::Failed(fault),
        }
    }

    /// Facts that were there as soon as they were asked for are facts like others.
    fn take_known(&mut self, turn: &Turn, policy: &Policy) -> Result<(), ScriptFault> {
        let known = std::mem::take(&mut turn.state().at_hand);
        if known.is_empty() {
            return Ok(());
        }
        self.used(policy).facts += known.len();
        let trace = |(question, answer)| FactTrace {
            policy: Arc::clone(&policy.name),
            also: Vec::new(),
            question,
            answer,
            took: Some(Duration::ZERO),
        };
        self.judgement.facts.extend(known.into_iter().map(trace));
        let budget = turn.0.policies.budget.facts;
        if self.used(policy).facts > budget { Err(exhausted(turn, policy)) } else { Ok(()) }
    }

    /// The run came to its end: what it ordered counts.
    fn commit(&mut self, turn: &Turn, policy: &Policy) {
        turn.state().commit(&policy.name);
        self.leave(policy);
    }

    /// An enforced rule speaks for the stage.
    fn rule(&mut self, turn: &Turn, policy: &Policy, ruling: Ruling) {
        if turn.delays(ruling.action) {
            turn.state().draft.delay(Delayed::of_rule(turn.0.stage, policy, ruling, true));
            self.commit(turn, policy);
            self.position = self.plan.len();
            return;
        }
        turn.state().draft.events.push(RuleEvent {
            rule: Arc::clone(&ruling.rule),
            action: ruling.action,
            mode: Mode::Enforce,
            place: Arc::clone(&ruling.place),
            after: None,
        });
        self.judgement.verdict = verdict(turn.0.stage, ruling);
        self.commit(turn, policy);
    }

    /// A fact is missing: the run's orders are dropped, and it begins again when the answer is there.
    fn ask(&mut self, turn: &Turn, policy: &Policy, needed: &Question) -> Result<(), ScriptFault> {
        // What was asked ahead has been paid for, once.
        if let Some(open) = self.open.iter_mut().find(|open| open.question == *needed)
            && !std::mem::replace(&mut open.is_needed, true)
        {
            return Ok(());
        }
        if self.open_one(turn, policy, needed, true) { Ok(()) } else { Err(exhausted(turn, policy)) }
    }

    /// Takes one more question from the policy's budget; `false` if it is used up.
    fn open_one(&mut self, turn: &Turn, policy: &Policy, question: &Question, is_needed: bool) -> bool {
        let used = self.used(policy);
        if used.facts >= turn.0.policies.budget.facts {
            return false;
        }
        used.facts += 1;
        if !self.open.iter().any(|open| open.question == *question) {
            let policy = Arc::clone(&policy.name);
            self.open.push(Open { question: question.clone(), policy, is_needed });
        }
        true
    }

    /// Waits for `needed`; what the running policy needs too is fetched at the same time, and the first time in a stage also what the
    /// policies behind it will want to know, as far as that can be told now: they run as if nobody had an objection, and nothing that
    /// they order counts.
    fn wait_for(
        &mut self,
        turn: &Turn,
        policy: &Policy,
        needed: Question,
        more: Vec<Question>,
        watch: &mut Watch,
    ) -> Step {
        let mut questions = vec![needed];
        self.ask_ahead(turn, policy, more, &mut questions);
        if !std::mem::replace(&mut self.looked_ahead, true) {
            let behind: Vec<_> = self.plan.iter().copied().skip(self.position + 1).collect();
            for index in behind {
                let Some(policy) = turn.0.policies.policy(index) else { continue };
                let wanted = self.look_ahead(turn, index, policy, watch);
                self.ask_ahead(turn, policy, wanted, &mut questions);
            }
        }
        Step::Ask(questions)
    }

    /// Adds to `questions` what is not open yet, as far as the policy's budget goes.
    fn ask_ahead(
        &mut self,
        turn: &Turn,
        policy: &Policy,
        wanted: Vec<Question>,
        questions: &mut Vec<Question>,
    ) {
        for question in wanted {
            let is_open = self.open.iter().any(|open| open.question == question);
            if !is_open && self.open_one(turn, policy, &question, false) {
                questions.push(question);
            }
        }
    }

    /// What a policy that has not had its turn will ask first, as far as it can be asked for nothing.
    fn look_ahead(&mut self, turn: &Turn, index: usize, policy: &Policy, watch: &mut Watch) -> Vec<Question> {
        let running = {
            let mut state = turn.state();
            let is_skipped = !policy.gate && state.skips.iter().any(|skip| **skip == *policy.name);
            if is_skipped || (policy.mode == Mode::Off && policy.rules.is_empty()) {
                return Vec::new();
            }
            std::mem::replace(&mut state.policy, index)
        };
        let left = (turn.0.policies.budget.time / 2).saturating_sub(self.ahead);
        let (_, spent) = watch.measure(left, || run_script(turn, policy, &mut self.arguments));
        self.ahead += spent;
        // Used up: it hears so when it has its turn.
        let _ = self.take_known(turn, policy);
        let mut state = turn.state();
        state.policy = running;
        state.draft = Draft::default();
        let mut wanted = std::mem::take(&mut state.wanted);
        if let Some(Stop::Asked(question)) = state.stopped.take()
            && wanted.is_empty()
            && question.is_cheap()
        {
            wanted.push(question);
        }
        wanted
    }

    /// A policy failed. Its orders are dropped; whether mail is touched depends on what it is and how it failed.
    fn fail(&mut self, turn: &Turn, policy: &Policy, fault: ScriptFault) {
        let passes = turn.0.policies.on_error == OnError::Pass && !policy.gate && !fault.kind.is_budget();
        if turn.is_enforced(policy) && !passes && turn.0.stage != Stage::Close {
            self.put_off(turn, policy, &fault);
        }
        self.judgement.errors.push(fault);
        turn.state().draft = Draft::default();
        self.leave(policy);
    }

    /// The client hears that it is to come again: now, or when it names a recipient.
    fn put_off(&mut self, turn: &Turn, policy: &Policy, fault: &ScriptFault) {
        if !turn.delays(Action::Defer) {
            self.judgement.verdict = failure(turn.0.stage, fault);
            return;
        }
        let is_final = !turn.awaits_recipient(policy, None);
        turn.state().done.delay(Delayed::of_failure(turn.0.stage, policy, fault, is_final));
        if is_final {
            self.position = self.plan.len();
        }
    }

    fn leave(&mut self, policy: &Policy) {
        let spent = std::mem::take(&mut self.spent);
        self.judgement.timings.push(Timing { policy: Arc::clone(&policy.name), spent });
        self.position += 1;
    }

    fn used(&mut self, policy: &Policy) -> &mut Used {
        let is_enforced = self.turn.as_ref().is_none_or(|turn| turn.is_enforced(policy));
        let [enforced, shadow] = &mut self.used;
        if is_enforced { enforced } else { shadow }
    }
}

/// The names of the policies that had an answer in hand.
fn names<'t>(turn: &'t Turn, known: &'t InHand) -> impl Iterator<Item = Arc<str>> + 't {
    let policies = known.askers().filter_map(|index| turn.0.policies.policy(index));
    policies.map(|policy| Arc::clone(&policy.name))
}

fn exhausted(turn: &Turn, policy: &Policy) -> ScriptFault {
    let message = format!("more than {} facts at one stage", turn.0.policies.budget.facts);
    faults::exhausted(policy, turn.0.stage, FaultKind::Facts, &message)
}

/// What the functions of a stage are called with, one after the other.
#[derive(Debug, Default)]
struct Arguments {
    values: Vec<Dynamic>,
    /// Which things they are.
    marks: Vec<Option<usize>>,
    /// The [`Turn`], for the host's words: shared, as each call has it.
    turn: Dynamic,
}

impl Arguments {
    fn new(turn: Turn) -> Self {
        let mut new = Self::default();
        new.fill(&turn.0.scene);
        new.turn = Dynamic::from(turn).into_shared();
        new
    }

    fn fill(&mut self, scene: &Scene) {
        self.values = values(scene);
        self.marks = self.values.iter().map(mark).collect();
    }

    /// Parameters are variables: what a function put in the place of a value is not for the next one.
    fn mend(&mut self, scene: &Scene) {
        let is_whole = |(value, known): (&Dynamic, &Option<usize>)| known.is_some() && mark(value) == *known;
        if !self.values.iter().zip(&self.marks).all(is_whole) {
            self.fill(scene);
        }
    }
}

/// Which thing a value is, for those that a script cannot change, and has not changed: it may put a tag on any.
fn mark(value: &Dynamic) -> Option<usize> {
    if value.is_shared() || value.tag() != 0 {
        return None;
    }
    let session = || value.read_lock::<Session>().map(|session| session.mark());
    let mail = || value.read_lock::<Mail>().map(|mail| Arc::as_ptr(&mail.0).addr());
    let rcpt = || value.read_lock::<Rcpt>().map(|rcpt| Arc::as_ptr(&rcpt.0).addr());
    let message = || value.read_lock::<Message>().map(|message| message.mark());
    session().or_else(mail).or_else(rcpt).or_else(message)
}

/// The values that the functions of a stage are called with, in order.
fn values(scene: &Scene) -> Vec<Dynamic> {
    let mut all = vec![Dynamic::from(Session::new(&scene.session))];
    match &scene.moment {
        Moment::Connect | Moment::Helo | Moment::Auth | Moment::Close => {}
        Moment::Violation(event) => all.push(Dynamic::from(ImmutableString::from(event.name()))),
        Moment::Mail(mail) | Moment::Data(mail) => all.push(Dynamic::from(Mail(Arc::clone(mail)))),
        Moment::Rcpt(mail, rcpt) => {
            all.push(Dynamic::from(Mail(Arc::clone(mail))));
            all.push(Dynamic::from(Rcpt(Arc::clone(rcpt))));
        }
        Moment::Message(mail, message) => {
            all.push(Dynamic::from(Mail(Arc::clone(mail))));
            all.push(Dynamic::from(Message::new(message)));
        }
    }
    all
}

/// `None` for a panic of our own: what it left in the draft is dropped with the run.
type Outcome = Option<Result<(), Box<EvalAltResult>>>;

fn run_script(turn: &Turn, policy: &Policy, arguments: &mut Arguments) -> Outcome {
    turn.state().begin_run();
    let run = || {
        let engine = &turn.0.policies.engine;
        policy.compiled.call(engine, turn.0.stage, &mut arguments.values, arguments.turn.clone())
    };
    let outcome = catch_unwind(AssertUnwindSafe(run)).ok();
    arguments.mend(&turn.0.scene);
    outcome
}

/// A stop from inside counts even where Rhai's own functions swallowed it. A run that went on without an answer says nothing but what
/// it wanted.
fn ending(turn: &Turn, policy: &Policy, outcome: Outcome) -> Ending {
    let (stopped, mut wanted) = {
        let mut state = turn.state();
        (state.stopped.take(), std::mem::take(&mut state.wanted).into_iter())
    };
    let Some(outcome) = outcome else { return Ending::Failed(faults::panicked(policy, turn.0.stage)) };
    match wanted.next() {
        Some(needed) if !matches!(stopped, Some(Stop::Spent(_))) => Ending::Asked(needed, wanted.collect()),
        _ => said(policy, turn.0.stage, stopped, outcome),
    }
}

/// What a run says that had all that it looked at.
fn said(
    policy: &Policy,
    stage: Stage,
    stopped: Option<Stop>,
    outcome: Result<(), Box<EvalAltResult>>,
) -> Ending {
    match (stopped, outcome) {
        (Some(Stop::Ruled(ruling)), _) => Ending::Ruled(ruling),
        (Some(Stop::Asked(question)), _) => Ending::Asked(question, Vec::new()),
        (Some(Stop::Unknown(what)), _) => Ending::Unknown(what),
        (Some(Stop::Spent(_)), Err(error)) => Ending::Failed(faults::of_error(policy, *error)),
        (Some(Stop::Spent(kind)), Ok(())) => Ending::Failed(faults::spent(policy, stage, kind)),
        (None, Ok(())) => match clock::spent() {
            Some(kind) => Ending::Failed(faults::spent(policy, stage, kind)),
            None => Ending::Passed,
        },
        (None, Err(error)) => Ending::Failed(faults::of_error(policy, *error)),
    }
}
