//! What recipients' domains wish, checked against the policies.

use super::super::domains::{Domains, Wishes};
use super::super::judgement::Mode;
use super::super::sources::{DomainSource, Sources};
use super::join::turns;
use super::{Script, modes, ours, settings};
use crate::diagnostic::Diagnostic;
use crate::session::stage::Stage;

/// The wishes of all domains.
pub(super) fn load(scripts: &[Script], sources: &Sources, problems: &mut Vec<Diagnostic>) -> Domains {
    let each = sources.domains.iter();
    let wishes = each.map(|(domain, source)| {
        let path = format!("policies.domains.{domain}");
        problems.extend(stranger(&path, domain, sources));
        for (key, mode) in &source.modes {
            check_mode(&format!("{path}.modes"), key, *mode, scripts, sources, problems);
        }
        (domain.as_str().into(), wishes(source, scripts))
    });
    Domains { wishes: wishes.collect() }
}

/// Warns of wishes of a domain that mail from outside never goes to.
fn stranger(path: &str, domain: &str, sources: &Sources) -> Option<Diagnostic> {
    if !ours::is_strange(domain, sources) {
        return None;
    }
    let message = format!("{path}: this is none of our domains, and holds for mail from inside only");
    Some(ours::suggest_ours(sources.warning(path, message), domain, sources))
}

fn wishes(source: &DomainSource, scripts: &[Script]) -> Wishes {
    let settings = source.settings.iter().filter_map(|(policy, given)| {
        let script = scripts.iter().find(|script| *script.name == **policy)?;
        Some((policy.clone(), settings::values(script, given)))
    });
    let modes = source.modes.iter().map(|(key, mode)| (key.clone(), *mode));
    Wishes { settings: settings.collect(), modes: modes.collect() }
}

/// A domain may bend what is asked about its recipients, one by one, and no gate.
fn check_mode(
    path: &str,
    key: &str,
    mode: Mode,
    scripts: &[Script],
    sources: &Sources,
    problems: &mut Vec<Diagnostic>,
) {
    let Some((script, rule)) = modes::target(path, key, mode, scripts, sources, problems) else { return };
    let turns = turns(script, rule);
    let waits = mode != Mode::Enforce && turns.iter().any(|stage| sources.refuse_at.delays(*stage));
    if !turns.contains(&Stage::Rcpt) && !waits {
        let help =
            "only what is asked at rcpt, or refused there (`policies.refuse_at`), belongs to one domain";
        let problem =
            sources.error(&format!("{path}.{key}"), format!("{path}: `{key}` says nothing at rcpt"));
        problems.push(problem.with_help(help));
    }
}
