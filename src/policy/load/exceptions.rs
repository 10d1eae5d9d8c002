//! Exceptions, checked against the policies that they soften.

use std::sync::Arc;

use super::super::exceptions::Exception;
use super::super::judgement::Mode;
use super::super::lists::{Entries, EntrySet, Networks, domain_of};
use super::super::sources::{ExceptionSource, Sources, split_target};
use super::calendar::Calendar;
use super::join::turns;
use super::modes::rule_names;
use super::{Script, ours, suggest};
use crate::diagnostic::Diagnostic;
use crate::session::stage::Stage;

/// The recipient without a domain (RFC 5321 4.1.1.3), which looks like one.
const POSTMASTER: &str = "postmaster";

/// The exceptions that count today.
pub(super) fn load(
    scripts: &[Script],
    sources: &Sources,
    calendar: &mut Calendar,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Exception> {
    let all = sources.exceptions.iter().enumerate();
    all.filter_map(|(number, source)| {
        let path = format!("policies.exceptions.{number}");
        let exception = One { source, sources, path }.load(scripts, calendar, problems)?;
        calendar.counts(source.until).then_some(exception)
    })
    .collect()
}

/// One exception of the configuration.
struct One<'s> {
    source: &'s ExceptionSource,
    sources: &'s Sources,
    /// Its path in the configuration.
    path: String,
}

impl One<'_> {
    fn load(
        &self,
        scripts: &[Script],
        calendar: &mut Calendar,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Exception> {
        let found = problems.len();
        let (name, rule) = split_target(&self.source.target);
        let script = self.script(name, scripts, problems)?;
        self.check_rule(script, rule, problems);
        self.check_listeners(problems);
        problems.extend(self.is_for_all());
        let recipients = self.recipients(problems);
        if let Some(until) = self.source.until.filter(|_| !calendar.counts(self.source.until)) {
            let message =
                format!("the exception for `{}` ended on {until} and is not heeded", self.source.target);
            let notice = self.sources.warning(&self.at("until"), message);
            calendar.notice(notice.with_help("take it out, or give it another day"));
        }
        let is_good = !problems.iter().skip(found).any(Diagnostic::is_error);
        is_good.then(|| Exception {
            policy: Arc::clone(&script.name),
            rule: rule.map(|_| self.source.target.as_str().into()),
            mode: self.source.mode,
            clients: (!self.source.clients.is_empty()).then(|| Networks::new(self.source.clients.clone())),
            recipients: (!self.source.recipients.is_empty()).then_some(recipients),
            listeners: self.source.listeners.iter().map(|listener| listener.as_str().into()).collect(),
            written: written(self.source),
            until: self.source.until,
            why: self.source.why.as_str().into(),
        })
    }

    /// The policy that it is about.
    fn script<'p>(
        &self,
        name: &str,
        scripts: &'p [Script],
        problems: &mut Vec<Diagnostic>,
    ) -> Option<&'p Script> {
        let script = scripts.iter().find(|script| *script.name == *name);
        match script {
            None => {
                let problem = self.error("target", format!("there is no policy `{name}`"));
                problems.push(suggest(problem, name, scripts.iter().map(|script| &*script.name)));
            }
            Some(gate) if gate.constants.gate => {
                problems.push(
                    self.error("target", format!("`{name}` is a gate, and a gate knows no exceptions")),
                );
            }
            Some(_) => {}
        }
        if self.source.mode == Mode::Enforce {
            let help = "an exception is `shadow` or `off`; to enforce a rule, name it in policies.modes";
            problems.push(self.error("mode", "an exception only softens").with_help(help));
        }
        script
    }

    /// The rule exists, and where recipients are a condition, they are known when it is asked.
    fn check_rule(&self, script: &Script, rule: Option<&str>, problems: &mut Vec<Diagnostic>) {
        let rules = rule_names(script);
        if let Some(rule) = rule.filter(|rule| !rules.contains(rule)) {
            let problem = self.error("target", format!("the policy `{}` has no rule `{rule}`", script.name));
            return problems.push(suggest(problem, rule, rules.iter().copied()));
        }
        let refuse_at = self.sources.refuse_at;
        let knows = |stage: &Stage| {
            matches!(stage, Stage::Rcpt | Stage::Data | Stage::Message) || refuse_at.delays(*stage)
        };
        let turns = turns(script, rule);
        if let Some(early) =
            turns.iter().find(|stage| !knows(stage)).filter(|_| !self.source.recipients.is_empty())
        {
            let message =
                format!("`{}` speaks at {early}, where no recipient is known yet", self.source.target);
            let help = match early {
                Stage::Connect | Stage::Helo | Stage::Mail => {
                    "name the clients or listeners, or set `policies.refuse_at: rcpt`"
                }
                _ => "name the clients or listeners, or a rule of rcpt, data or message",
            };
            problems.push(self.error("recipients", message).with_help(help));
        }
    }

    fn check_listeners(&self, problems: &mut Vec<Diagnostic>) {
        let known = || self.sources.listeners.iter().map(|(name, _)| name.as_str());
        for listener in self.source.listeners.iter().filter(|name| !known().any(|known| known == **name)) {
            let problem = self.error("listeners", format!("there is no listener `{listener}`"));
            problems.push(suggest(problem, listener, known()));
        }
    }

    fn recipients(&self, problems: &mut Vec<Diagnostic>) -> EntrySet {
        let mut list = Entries::default();
        for entry in &self.source.recipients {
            problems.extend(self.recipient(entry));
            // What is wrong with it is told.
            _ = list.add(entry);
        }
        list.into_set()
    }

    /// What is wrong with an entry of the recipients, if anything is. They may be anybody's, for mail from inside; but a domain that is
    /// nearly ours, or could be nobody's, is a slip.
    fn recipient(&self, entry: &str) -> Option<Diagnostic> {
        let domain = match domain_of(entry) {
            Err(problem) => return Some(self.error("recipients", problem)),
            Ok(None) => {
                let problem = format!("`{entry}` is a network, and recipients are addresses or domains");
                return Some(self.error("recipients", problem).with_help("name networks as `clients`"));
            }
            Ok(Some(domain)) => domain,
        };
        if !ours::is_strange(&domain, self.sources) || domain == POSTMASTER {
            return None;
        }
        let message = format!("`{entry}` is at none of our domains");
        let problem = ours::suggest_ours(self.warning("recipients", message), &domain, self.sources);
        let is_nobodys = !domain.trim_start_matches('.').contains('.');
        (problem.help.is_some() || is_nobodys).then_some(problem)
    }

    /// Warns of an exception that is the rule.
    fn is_for_all(&self) -> Option<Diagnostic> {
        let ExceptionSource { target, mode, clients, recipients, listeners, .. } = self.source;
        if !clients.is_empty() || !recipients.is_empty() || !listeners.is_empty() {
            return None;
        }
        let message = format!("without a condition, `{target}` is `{}` for everybody", mode.name());
        let help = "name clients, recipients or listeners; a mode for all is one of policies.modes";
        Some(self.warning("target", message).with_help(help))
    }

    fn error(&self, key: &str, message: impl Into<String>) -> Diagnostic {
        let message = format!("policies.exceptions: {}", message.into());
        self.sources.error(&self.at(key), message)
    }

    fn warning(&self, key: &str, message: impl Into<String>) -> Diagnostic {
        let message = format!("policies.exceptions: {}", message.into());
        self.sources.warning(&self.at(key), message)
    }

    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }
}

/// The conditions in one line.
fn written(source: &ExceptionSource) -> String {
    let clients: Vec<String> = source.clients.iter().map(ToString::to_string).collect();
    let all = [("clients", &clients), ("recipients", &source.recipients), ("listeners", &source.listeners)];
    let given = all.into_iter().filter(|(_, values)| !values.is_empty());
    given.map(|(what, values)| format!("{what} {}", values.join(", "))).collect::<Vec<_>>().join("; ")
}
