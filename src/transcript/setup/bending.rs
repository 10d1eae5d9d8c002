//! How a transcript bends policies beside their modes: exceptions, wishes of domains, what a failure means, when is refused.

use crate::policy::judgement::Mode;
use crate::policy::sources::{ExceptionSource, OnError, RefuseAt, Setting, Sources, day};

use super::super::words::{Mistake, Word, Words};
use super::policies::{mode, setting};

/// What the directives `exception`, `domain`, `on_error` and `refuse_at` say.
#[derive(Clone, Debug, Default)]
pub(in crate::transcript) struct Bending {
    exceptions: Vec<ExceptionSource>,
    /// By domain, in the order of their lines.
    wishes: Vec<(String, Wish)>,
    on_error: Option<OnError>,
    refuse_at: Option<RefuseAt>,
}

/// What a domain wishes for its recipients.
#[derive(Clone, Debug)]
enum Wish {
    Mode(String, Mode),
    Setting(String, String, Setting),
}

/// What may stand behind the mode of an exception.
const CONDITIONS: [&str; 5] = ["clients", "recipients", "listeners", "until", "why"];

impl Bending {
    /// Takes in one directive; false when `name` is none of these.
    pub(super) fn read(&mut self, name: Word<'_>, words: &mut Words<'_>) -> Result<bool, Mistake> {
        match name.text {
            "exception" => self.exceptions.push(exception(words)?),
            "domain" => {
                let domain = words.expect("a domain")?.text.to_lowercase();
                self.wishes.push((domain, wish(words)?));
            }
            "on_error" => {
                let means = words.expect("`defer` or `pass`")?;
                let all = [("defer", OnError::Defer), ("pass", OnError::Pass)];
                self.on_error = Some(means.choose("answer to a failing policy", &all)?);
            }
            "refuse_at" => {
                let place = words.expect("`stage` or `rcpt`")?;
                let all = [("stage", RefuseAt::Stage), ("rcpt", RefuseAt::Rcpt)];
                self.refuse_at = Some(place.choose("place to refuse at", &all)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Says it to those who load the policies.
    pub(in crate::transcript) fn apply(&self, sources: &mut Sources) {
        sources.exceptions.extend(self.exceptions.iter().cloned());
        for (domain, wish) in &self.wishes {
            let own = sources.domains.entry(domain.clone()).or_default();
            match wish {
                Wish::Mode(target, mode) => _ = own.modes.insert(target.clone(), *mode),
                Wish::Setting(policy, name, value) => {
                    own.settings.entry(policy.clone()).or_default().insert(name.clone(), value.clone());
                }
            }
        }
        sources.on_error = self.on_error.unwrap_or(sources.on_error);
        sources.refuse_at = self.refuse_at.unwrap_or(sources.refuse_at);
    }
}

/// `mode policy.rule shadow`, or `setting policy.name value`.
fn wish(words: &mut Words<'_>) -> Result<Wish, Mistake> {
    let what = words.expect("`mode` or `setting`")?;
    match what.text {
        "mode" => mode(words).map(|(target, mode)| Wish::Mode(target, mode)),
        "setting" => setting(words).map(|(policy, name, value)| Wish::Setting(policy, name, value)),
        _ => Err(Mistake::unknown("wish", what, ["mode", "setting"])),
    }
}

/// `policy.rule off clients 192.0.2.0/24 recipients a@example.org until 2027-03-31 why old scanner`.
fn exception(words: &mut Words<'_>) -> Result<ExceptionSource, Mistake> {
    let (target, mode) = mode(words)?;
    let mut exception = ExceptionSource {
        target,
        mode,
        clients: Vec::new(),
        recipients: Vec::new(),
        listeners: Vec::new(),
        until: None,
        why: String::new(),
    };
    let mut condition = "";
    for word in words.list() {
        if condition != "why" && CONDITIONS.contains(&word.text) {
            condition = word.text;
            continue;
        }
        match condition {
            "clients" => exception.clients.extend(super::networks(&[word])?),
            "recipients" => exception.recipients.push(word.text.to_owned()),
            "listeners" => exception.listeners.push(word.text.to_owned()),
            "until" => {
                let until = day(word.text).ok_or_else(|| word.mistake("a day is written as 2027-03-31"))?;
                exception.until = Some(until);
            }
            "why" => exception.why = format!("{} {}", exception.why, word.text).trim_start().to_owned(),
            _ => return Err(Mistake::unknown("condition of an exception", word, CONDITIONS)),
        }
    }
    Ok(exception)
}
