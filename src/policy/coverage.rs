//! Which lines and rules of the policies were reached: what the tests of their authors leave out.
//!
//! Only for `gatepost test --coverage`. Policies that are loaded with a [`Coverage`] run as a copy of their text that reports
//! each statement before it is run ([`load`](super::load), `instrument`); those that are loaded without know nothing of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was reached, summed over all loads of the same files.
#[derive(Default)]
pub struct Coverage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<Arc<str>, File>,
    rules: BTreeMap<Arc<str>, bool>,
    /// A set was loaded: what comes later and is not in it is a transcript's own.
    is_complete: bool,
}

#[derive(Debug)]
struct File {
    /// A file of another text is another file, whatever its name: a transcript may have policies of its own.
    text: Arc<str>,
    /// Each statement by its line.
    statements: Vec<(usize, Mark)>,
}

/// Whether one statement was reached.
pub(super) type Mark = Arc<AtomicBool>;

/// How much of one file was reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CoveredFile {
    /// Its name, relative to the policies' folder.
    pub file: Arc<str>,
    /// Lines on which a statement begins.
    pub lines: usize,
    /// Those with a statement that was never reached.
    pub unreached: Vec<usize>,
}

impl Coverage {
    /// The marks of a file's statements, whose lines are these, in their order. The first text that comes with a name is the one
    /// that counts; `None` for any other, and for files that are not in the first set.
    pub(super) fn marks(&self, file: &Arc<str>, text: &Arc<str>, lines: &[usize]) -> Option<Vec<Mark>> {
        let mut state = self.state();
        if state.is_complete && !state.files.contains_key(file) {
            return None;
        }
        let fresh = || File {
            text: Arc::clone(text),
            statements: lines.iter().map(|line| (*line, Mark::default())).collect(),
        };
        let known = state.files.entry(Arc::clone(file)).or_insert_with(fresh);
        let marks = known.statements.iter().map(|(_, mark)| Arc::clone(mark));
        (known.text == *text).then(|| marks.collect())
    }

    /// Takes note that the first set is loaded, and of its rules; those of later ones are the same, or none of the operator's.
    pub(super) fn expect<'r>(&self, rules: impl Iterator<Item = &'r Arc<str>>) {
        let mut state = self.state();
        if !state.is_complete {
            state.is_complete = true;
            state.rules = rules.map(|rule| (Arc::clone(rule), false)).collect();
        }
    }

    /// A rule spoke, whatever its mode.
    pub(super) fn reached(&self, rule: &str) {
        if let Some(reached) = self.state().rules.get_mut(rule) {
            *reached = true;
        }
    }

    /// How much of each file was reached, by name.
    pub fn files(&self) -> Vec<CoveredFile> {
        let state = self.state();
        let files = state.files.iter().map(|(name, file)| {
            let mut lines: Vec<usize> = file.statements.iter().map(|(line, _)| *line).collect();
            let missed = file.statements.iter().filter(|(_, mark)| !mark.load(Ordering::Relaxed));
            let mut unreached: Vec<usize> = missed.map(|(line, _)| *line).collect();
            for lines in [&mut lines, &mut unreached] {
                lines.sort_unstable();
                lines.dedup();
            }
            CoveredFile { file: Arc::clone(name), lines: lines.len(), unreached }
        });
        files.collect()
    }

    /// The rules that never spoke, and how many there are in all.
    pub fn silent_rules(&self) -> (Vec<Arc<str>>, usize) {
        let state = self.state();
        let silent = state.rules.iter().filter(|(_, reached)| !**reached);
        (silent.map(|(rule, _)| Arc::clone(rule)).collect(), state.rules.len())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coverage")
    }
}
