//! Facts under way, several at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Facts;
use crate::facts::Subject;
use crate::policy::question::{Answer, Question};

/// The questions of one stage that are under way. Dropped, it gives them up.
#[derive(Debug, Default)]
pub(super) struct Fetching {
    under_way: Vec<Question>,
    tasks: JoinSet<(Question, Answer, Duration)>,
}

impl Fetching {
    /// Begins to look for the answer to a question, unless somebody does already.
    pub(super) fn begin(&mut self, facts: &Arc<dyn Facts>, subject: &Subject, question: Question) {
        if self.under_way.contains(&question) {
            return;
        }
        self.under_way.push(question.clone());
        let (facts, subject) = (Arc::clone(facts), subject.clone());
        self.tasks.spawn(async move {
            let asked = Instant::now();
            let answer = facts.answer(&subject, &question).await;
            (question, answer, asked.elapsed())
        });
    }

    /// Whether nothing is under way.
    pub(super) const fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// The next answer; `None` when nothing is under way. A search that broke down has none.
    pub(super) async fn next(&mut self) -> Option<(Question, Answer, Duration)> {
        match self.tasks.join_next().await? {
            Ok(found) => {
                self.under_way.retain(|question| *question != found.0);
                Some(found)
            }
            Err(_) => {
                let lost = self.under_way.drain(..).next()?;
                let answer = lost.unanswered();
                self.tasks.abort_all();
                Some((lost, answer, Duration::ZERO))
            }
        }
    }
}
