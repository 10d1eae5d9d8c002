//! What a replay of many decisions came to.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::super::record::VerdictRecord;
use super::{Recorded, Replayed};
use crate::log::safe;

/// Examples that are kept of each change, and lines of undecidable facts that are shown.
const EXAMPLES: usize = 5;
const SHOWN: usize = 10;

/// How many decisions change, from what to what, by which rule.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Decisions that were read.
    pub decisions: u64,
    /// Those that stay as they are.
    pub same: u64,
    /// Those that change.
    pub changed: u64,
    /// Those that nobody can say anything about.
    pub undecidable: u64,
    /// Those in which no policy had a say.
    pub not_asked: u64,
    /// Each change, the commonest first.
    pub changes: Vec<Change>,
    /// What was missing, and how often.
    pub missing: BTreeMap<String, u64>,
}

/// One kind of change.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Change {
    /// The stage.
    pub stage: String,
    /// What was said: `pass`, or the action with its rule.
    pub from: String,
    /// What would be said.
    pub to: String,
    /// How often.
    pub count: u64,
    /// The ids of the first few.
    pub examples: Vec<String>,
}

/// The texts of missing facts that are told apart: they may hold names of strangers.
const MISSING: usize = 1_000;

impl Report {
    /// Adds what became of one decision.
    pub fn add(&mut self, decision: &Recorded, replayed: Replayed) {
        self.decisions += 1;
        match replayed {
            Replayed::Same => self.same += 1,
            Replayed::NotAsked => self.not_asked += 1,
            Replayed::Undecidable(missing) => {
                self.undecidable += 1;
                self.lack(missing, 1);
            }
            Replayed::Changed { stage, from, to } => {
                self.changed += 1;
                let examples = vec![decision.id.clone()];
                self.count(Change { stage, from: words(&from), to: words(&to), count: 1, examples });
            }
        }
    }

    /// Adds another report.
    pub fn merge(&mut self, other: Self) {
        self.decisions += other.decisions;
        self.same += other.same;
        self.changed += other.changed;
        self.undecidable += other.undecidable;
        self.not_asked += other.not_asked;
        other.changes.into_iter().for_each(|change| self.count(change));
        other.missing.into_iter().for_each(|(missing, count)| self.lack(missing, count));
    }

    /// Puts the commonest changes first.
    pub fn sort(&mut self) {
        self.changes.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.to.cmp(&other.to)));
    }

    /// Whether this says anything about the policies: not where nothing was read, or nothing of it could be decided.
    pub const fn tells(&self) -> bool {
        self.same + self.changed > 0 || (self.not_asked > 0 && self.undecidable == 0)
    }

    fn count(&mut self, change: Change) {
        let same = |known: &&mut Change| {
            (&known.stage, &known.from, &known.to) == (&change.stage, &change.from, &change.to)
        };
        match self.changes.iter_mut().find(same) {
            Some(known) => {
                known.count += change.count;
                known.examples.extend(change.examples);
                known.examples.truncate(EXAMPLES);
            }
            None => self.changes.push(change),
        }
    }

    fn lack(&mut self, missing: String, count: u64) {
        if self.missing.len() < MISSING || self.missing.contains_key(&missing) {
            *self.missing.entry(missing).or_default() += count;
        }
    }
}

/// `pass`, or the action with its rule.
fn words(verdict: &VerdictRecord) -> String {
    match &*verdict.rule {
        "" => verdict.action.to_owned(),
        rule => format!("{} by {rule}", verdict.action),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { decisions, same, changed, undecidable, not_asked, .. } = self;
        writeln!(
            f,
            "{changed} of {decisions} decisions change; {same} stay, {undecidable} are undecidable, in {not_asked} no policy had a say"
        )?;
        for change in &self.changes {
            let examples = change.examples.join(" ");
            writeln!(
                f,
                "  {:>8}  {}: {} -> {}  (such as {examples})",
                change.count, change.stage, change.from, change.to
            )?;
        }
        let mut missing: Vec<_> = self.missing.iter().collect();
        missing.sort_by(|one, other| other.1.cmp(one.1));
        for (what, count) in missing.iter().take(SHOWN) {
            writeln!(f, "  {count:>8}  undecidable for want of {}", safe(what))?;
        }
        if missing.len() > SHOWN {
            writeln!(f, "            and {} more facts", missing.len() - SHOWN)?;
        }
        Ok(())
    }
}
