//! What a check asked of DNS, for those who want to know why it came out as it did.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::results::Asked;
use crate::dns::{Failure, Found, Kind, Records};

/// No check asks for more names; of a log that would be longer, the end is not kept.
const MAX_ASKED: usize = 64;
/// So much of a name or an answer is kept, in octets.
const MAX_TEXT: usize = 256;

/// The look-ups so far. Clones write into the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace(Arc<Mutex<Vec<Asked>>>);

impl Trace {
    /// A look-up was answered. `took` is zero for what was known already.
    pub(super) fn add(&self, kind: Kind, name: &str, found: &Found, took: Duration) {
        self.add_less(kind, name, None, found, took);
    }

    /// The same about a name that is also there without what not everybody may see.
    pub(super) fn add_less(&self, kind: Kind, name: &str, less: Option<&str>, found: &Found, took: Duration) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() < MAX_ASKED {
            let (result, answer) = said(found);
            let name_less = less.map(|less| cut(less.to_owned()).into_boxed_str());
            asked.push(Asked {
                kind: kind.name(),
                name: cut(name.to_owned()),
                name_less,
                result,
                answer,
                took,
            });
        }
    }

    /// Everything so far, in its order.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was asked about this name.
    pub(super) fn about(&self, name: &str) -> Vec<Asked> {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|asked| asked.name == name).cloned().collect()
    }
}

fn said(found: &Found) -> (&'static str, String) {
    match found {
        Ok(answers) => ("ok", cut(joined(&answers.records))),
        Err(Failure::NoData) => ("none", String::new()),
        Err(Failure::NxDomain) => ("nxdomain", String::new()),
        Err(Failure::Temporary(trouble)) => ("error", trouble.name().to_owned()),
    }
}

/// The records, or the first ones: no more than is kept.
fn joined(records: &Records) -> String {
    let Records::Txt(texts) = records else { return records.to_texts().join(" | ") };
    let mut joined = String::new();
    for text in texts {
        if !joined.is_empty() {
            joined.push_str(" | ");
        }
        joined.push_str(&String::from_utf8_lossy(text.get(..MAX_TEXT).unwrap_or(text)));
        if joined.len() >= MAX_TEXT {
            break;
        }
    }
    joined
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}
