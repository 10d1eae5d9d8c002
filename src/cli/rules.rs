//! `gatepost rules`: what every rule is, what its mode is and who gave it.

use anyhow::anyhow;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::Loaded;
use crate::policy::{ExceptionInfo, Policies, RuleInfo};

use super::Failure;
use super::endpoint::Endpoint;
use super::screen::{Format, Screen, tally};

/// Shows every rule of the configured policies; where they cannot be used, those that are in force in the process that serves.
///
/// # Errors
/// Nobody answers at a socket that `is_named`; or the policies cannot be used, and nobody answers.
pub(super) fn rules(
    loaded: Result<Loaded, Failure>,
    endpoint: Option<Endpoint>,
    is_named: bool,
    format: Format,
    screen: Screen,
) -> Result<(), Failure> {
    let live: Option<Vec<Did>> = match endpoint.map(|endpoint| endpoint.see("/rules")) {
        // Who names a socket wants to know what is said there, and nothing in its place.
        Some(Err(failure)) if is_named => return Err(failure),
        answer => answer.and_then(Result::ok),
    };
    let configured = loaded.and_then(|loaded| load(&loaded, screen));
    match (configured, live, format) {
        (Ok(policies), live, Format::Text) => {
            screen.say(as_text(&policies, &live.unwrap_or_default()).trim_end());
        }
        (Ok(policies), live, Format::Json) => {
            screen.say_json(&as_json(&policies, &live.unwrap_or_default()).to_string());
        }
        (Err(failure), None, _) => return Err(failure),
        (Err(failure), Some(live), format) => {
            if let Failure::Untold(error) | Failure::NoDaemon(error) = &failure {
                screen.error(error);
            }
            screen.details(|_| "these are the rules in force:\n".to_owned());
            match format {
                Format::Text => screen.say(in_force(&live).trim_end()),
                Format::Json => screen.say_json(&json!({ "rules": live }).to_string()),
            }
        }
    }
    Ok(())
}

fn load(loaded: &Loaded, screen: Screen) -> Result<Policies, Failure> {
    Policies::load(&loaded.settings.policies).map_err(|found| {
        screen.diagnostics(&found);
        Failure::Untold(anyhow!("the policies cannot be used: {}", tally(&found)))
    })
}

// === what they did ===

/// What a rule did in the process that serves, at a stage.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Did {
    rule: String,
    stage: String,
    action: String,
    mode: String,
    gate: bool,
    place: String,
    hits: u64,
    last_hit: Option<u64>,
    median_us: Option<u64>,
}

fn did<'d>(rule: &RuleInfo, live: &'d [Did]) -> Option<&'d Did> {
    live.iter().find(|did| did.rule == *rule.rule && did.stage == rule.stage.name())
}

// === for people ===

const HEADINGS: [&str; 6] = ["RULE", "STAGE", "MODE", "FROM", "PLACE", "ABOUT"];
/// The columns behind the mode, when somebody serves.
const LIVE: [&str; 3] = ["HITS", "LAST", "MEDIAN"];

fn as_text(policies: &Policies, live: &[Did]) -> String {
    let rules = policies.rules().iter().map(|rule| row(rule, live)).collect();
    let mut headings = HEADINGS.to_vec();
    if !live.is_empty() {
        headings.splice(3..3, LIVE);
    }
    let mut text = table(&headings, rules);
    let exceptions: Vec<_> = policies.exceptions().map(exception_row).collect();
    if !exceptions.is_empty() {
        text += "\n";
        text += &table(&["EXCEPTION", "MODE", "FOR", "UNTIL", "WHY"], exceptions);
    }
    let wishes: Vec<_> = policies
        .wishes()
        .map(|(domain, target, mode)| vec![domain.to_owned(), target.to_owned(), mode.name().to_owned()])
        .collect();
    if !wishes.is_empty() {
        text += "\n";
        text += &table(&["DOMAIN", "RULE", "MODE"], wishes);
    }
    text
}

/// The same of the process that serves alone, which knows no more of them than this.
fn in_force(live: &[Did]) -> String {
    let rows = live.iter().map(|did| {
        let gate = if did.gate { " (gate)" } else { "" };
        let [hits, last, median] = figures(Some(did));
        let mode = format!("{}{gate}", did.mode);
        vec![
            did.rule.clone(),
            did.stage.clone(),
            mode,
            hits,
            last,
            median,
            did.place.clone(),
            did.action.clone(),
        ]
    });
    table(&["RULE", "STAGE", "MODE", "HITS", "LAST", "MEDIAN", "PLACE", "DOES"], rows.collect())
}

fn row(rule: &RuleInfo, live: &[Did]) -> Vec<String> {
    let gate = if rule.gate { " (gate)" } else { "" };
    let does = format!("{} {}", rule.action.name(), rule.code);
    let mut row = vec![
        rule.rule.to_string(),
        rule.stage.to_string(),
        format!("{}{gate}", rule.mode.name()),
        rule.origin.name().to_owned(),
        format!("{}:{}", rule.file, rule.line),
        format!("{does}: {}", rule.doc),
    ];
    if !live.is_empty() {
        row.splice(3..3, figures(did(rule, live)));
    }
    row
}

/// How often a rule fired, when last, and what its policy takes at this stage.
fn figures(did: Option<&Did>) -> [String; 3] {
    let Some(did) = did else { return ["new".to_owned(), String::new(), String::new()] };
    let second = |at: u64| Timestamp::from_second(i64::try_from(at).ok()?).ok();
    let last = did.last_hit.and_then(second).map(|at| at.to_string()).unwrap_or_default();
    let median = did.median_us.map(|micros| format!("{micros} µs")).unwrap_or_default();
    [did.hits.to_string(), last, median]
}

fn exception_row(exception: ExceptionInfo) -> Vec<String> {
    let conditions =
        if exception.conditions.is_empty() { "everybody".to_owned() } else { exception.conditions };
    vec![
        exception.target.to_string(),
        exception.mode.name().to_owned(),
        conditions,
        exception.until.map(|until| until.to_string()).unwrap_or_default(),
        exception.why.to_string(),
    ]
}

/// Columns as wide as what is in them, two blanks apart.
fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let headings: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(headings).chain(rows).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        format!("{}\n", padded.collect::<String>().trim_end())
    };
    lines.iter().map(line).collect()
}

// === for programs ===

fn as_json(policies: &Policies, live: &[Did]) -> Value {
    let rules = policies.rules().iter().map(|rule| {
        let did = did(rule, live);
        json!({
            "rule": &*rule.rule,
            "policy": &*rule.policy,
            "stage": rule.stage.name(),
            "action": rule.action.name(),
            "code": rule.code,
            "mode": rule.mode.name(),
            "mode_from": rule.origin.name(),
            "gate": rule.gate,
            "file": &*rule.file,
            "line": rule.line,
            "doc": &*rule.doc,
            "words": rule.words,
            "hits": did.map(|did| did.hits),
            "last_hit": did.and_then(|did| did.last_hit),
            "median_us": did.and_then(|did| did.median_us),
        })
    });
    let exceptions = policies.exceptions().map(|exception| {
        json!({
            "target": &*exception.target,
            "mode": exception.mode.name(),
            "for": exception.conditions,
            "until": exception.until.map(|until| until.to_string()),
            "why": &*exception.why,
        })
    });
    let wishes = policies
        .wishes()
        .map(|(domain, target, mode)| json!({ "domain": domain, "target": target, "mode": mode.name() }));
    json!({
        "rules": rules.collect::<Vec<_>>(),
        "exceptions": exceptions.collect::<Vec<_>>(),
        "domains": wishes.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["a", "bücher", ""], ["long one", "b", "end"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec()).to_vec();
        let expected = "\
A         B       C
a         bücher
long one  b       end
";
        assert_eq!(table(&["A", "B", "C"], rows), expected);
    }
}
