//! Recorded decisions, asked of other policies: what would they have said?
//!
//! The stages of a decision are judged again in their order, with the facts that were recorded. A fact that another policy asks
//! for and that was not recorded makes the decision undecidable. Settings and lists are those of the other policies; stateful facts
//! are what they were, and nothing is counted or remembered anywhere.

mod facts;
mod recorded;
mod report;
mod scenes;

use std::sync::Arc;
use std::time::Duration;

pub use self::recorded::Recorded;
pub use self::report::{Change, Report};
use super::record::VerdictRecord;
use super::stages;
use crate::policy::judgement::Judgement;
use crate::policy::{Memory, Policies, Step};

use self::facts::Facts;
use self::recorded::RecordedStage;

/// What became of one decision under other policies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Replayed {
    /// The same.
    Same,
    /// Something else, at this stage.
    Changed {
        /// The stage.
        stage: String,
        /// What was said.
        from: VerdictRecord,
        /// What would be said.
        to: VerdictRecord,
    },
    /// Nobody knows, for want of this.
    Undecidable(String),
    /// No policy was asked: a breach of the protocol, or a connection that was turned away.
    NotAsked,
}

/// Asks `policies` about `decision`.
pub fn replay(policies: &Arc<Policies>, decision: &Recorded) -> Replayed {
    if decision.redacted {
        return Replayed::Undecidable(
            "local parts of addresses, which were taken out when it was recorded".to_owned(),
        );
    }
    if decision.stages.is_empty() {
        return Replayed::NotAsked;
    }
    let mut memory = Memory::default();
    for stage in &decision.stages {
        if decision.truncated && matches!(stage.stage, "data" | "message") {
            return Replayed::Undecidable("stages or recipients beyond those that were recorded".to_owned());
        }
        let judgement = match judge(policies, decision, stage, &mut memory) {
            Ok(judgement) => judgement,
            Err(missing) => return Replayed::Undecidable(missing),
        };
        let said = stages::verdict(&judgement);
        if !is_same(&said, &stage.verdict) {
            return Replayed::Changed {
                stage: stage.stage.to_owned(),
                from: stage.verdict.clone(),
                to: said,
            };
        }
        // A recipient that is set aside leaves the transaction to go on.
        let aside = stage.stage == "rcpt" && matches!(said.action, "discard" | "quarantine");
        if said.action != "pass" && !aside {
            return Replayed::Same;
        }
    }
    Replayed::Same
}

/// The same action by the same rule with the same code; its words may be others.
fn is_same(one: &VerdictRecord, other: &VerdictRecord) -> bool {
    let code = |verdict: &VerdictRecord| verdict.reply.get(..3).map(str::to_owned);
    (one.action, &one.rule, code(one)) == (other.action, &other.rule, code(other))
}

/// What the policies say at one stage, or what is missing for that.
fn judge(
    policies: &Arc<Policies>,
    decision: &Recorded,
    stage: &RecordedStage,
    memory: &mut Memory,
) -> Result<Judgement, String> {
    match stage.stage {
        "helo" => memory.forget_helo(),
        "mail" => memory.end_transaction(),
        _ => {}
    }
    let scene = scenes::of(decision, stage).ok_or_else(|| format!("what policies saw at {}", stage.stage))?;
    let facts = Facts::of(decision, stage);
    let mut run = policies.begin(scene, memory);
    // What is known is there before it is asked for, so that no script stops for it and runs again.
    for (question, answer) in facts.known() {
        run.answer(question, answer, Duration::ZERO);
    }
    loop {
        match run.step() {
            Step::Done => return Ok(run.finish(memory)),
            Step::Unknown(what) => return Err(what),
            Step::Ask(questions) => {
                for (index, question) in questions.into_iter().enumerate() {
                    match facts.answer(&question) {
                        Some((answer, took)) => run.answer(question, answer, took),
                        // The run goes on with the first of them; the others may never be asked for.
                        None if index > 0 => {}
                        None => {
                            return Err(format!("the fact {} {}", question.word(), question.arguments())
                                .trim()
                                .to_owned());
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
