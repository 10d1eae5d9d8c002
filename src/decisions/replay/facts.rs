//! The facts that a decision recorded.

use std::time::Duration;

use super::recorded::{Recorded, RecordedStage};
use crate::checks::results::{CheckResult, Iprev, MessageResults};
use crate::policy::question::{Answer, Lookup, Question};

/// What is known at one stage of a decision.
#[derive(Debug)]
pub(super) struct Facts<'d> {
    decision: &'d Recorded,
    stage: &'d RecordedStage,
}

impl<'d> Facts<'d> {
    pub(super) const fn of(decision: &'d Recorded, stage: &'d RecordedStage) -> Self {
        Self { decision, stage }
    }

    /// The answer, and how long it took then; `None` when it was not recorded.
    pub(super) fn answer(&self, question: &Question) -> Option<(Answer, Duration)> {
        let elsewhere = self.decision.stages.iter().filter(|_| lasts(question));
        let recorded = std::iter::once(self.stage).chain(elsewhere).flat_map(|stage| &stage.facts);
        let mut recorded = recorded.filter(|fact| fact.question == *question);
        let found = recorded.find_map(|fact| Some((fact.answer.clone()?, fact.took)));
        found.or_else(|| Some((self.of_checks(question)?, Duration::ZERO)))
    }

    /// Everything that is known at this stage: what was recorded at it, and what the checks found.
    pub(super) fn known(&self) -> impl Iterator<Item = (Question, Answer)> {
        let recorded = self.stage.facts.iter();
        let recorded = recorded.filter_map(|fact| Some((fact.question.clone(), fact.answer.clone()?)));
        let of_checks = checks_at(self.stage.stage).iter().cloned().filter_map(|question| {
            let answer = self.of_checks(&question)?;
            Some((question, answer))
        });
        // Where both know it, what was recorded counts, as in `answer`.
        of_checks.chain(recorded)
    }

    /// What the checks found, and what the clock said.
    fn of_checks(&self, question: &Question) -> Option<Answer> {
        let checks = &self.decision.checks;
        // Before the message is there, there is nothing to say but `none`.
        let none = MessageResults::default();
        let message = match self.stage.stage {
            "message" => checks.message.as_deref(),
            _ => Some(&none),
        };
        match question {
            Question::HeloSpf => checks.helo_spf.clone().map(Answer::Spf),
            Question::Spf => checks.spf.clone().map(Answer::Spf),
            Question::Dkim => message.map(|message| message.dkim.clone().into()),
            Question::Dmarc => message.map(|message| message.dmarc.clone().into()),
            Question::Arc => message.map(|message| message.arc.clone().into()),
            Question::Fcrdns => checks.iprev.as_ref().map(|iprev| fcrdns(iprev).into()),
            Question::Now => Some(Answer::Now(self.stage.at.as_second())),
            _ => None,
        }
    }
}

/// What checks and the clock have an answer to at a stage. What comes later is not known before: it would be remembered as it is now.
const fn checks_at(stage: &str) -> &'static [Question] {
    use Question::{Arc, Dkim, Dmarc, Fcrdns, HeloSpf, Now, Spf};
    match stage.as_bytes() {
        b"connect" => &[Fcrdns, Now],
        b"helo" => &[Fcrdns, HeloSpf, Now],
        b"mail" | b"rcpt" | b"data" => &[Fcrdns, HeloSpf, Spf, Now],
        b"message" => &[Fcrdns, HeloSpf, Spf, Dkim, Dmarc, Arc, Now],
        _ => &[],
    }
}

/// Whether an answer holds for more than the stage at which it was given. What counts or happens does so each time.
const fn lasts(question: &Question) -> bool {
    question.is_pure() && !matches!(question, Question::Now | Question::Random)
}

fn fcrdns(iprev: &Iprev) -> Lookup {
    let result = match iprev.result {
        CheckResult::TempError => "error",
        result => result.name(),
    };
    Lookup { result, values: iprev.names.clone() }
}
