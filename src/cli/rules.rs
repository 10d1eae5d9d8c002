//! `gatepost rules`: what every rule is, what its mode is and who gave it.

use anyhow::anyhow;
use serde_json::{Value, json};

use crate::config::Loaded;
use crate::policy::{ExceptionInfo, Policies, RuleInfo};

use super::Failure;
use super::screen::{Format, Screen, tally};

/// Shows every rule of the configured policies.
pub(super) fn rules(loaded: &Loaded, format: Format, screen: Screen) -> Result<(), Failure> {
    let policies = Policies::load(&loaded.settings.policies).map_err(|found| {
        screen.diagnostics(&found);
        Failure::Untold(anyhow!("the policies cannot be used: {}", tally(&found)))
    })?;
    screen.diagnostics(policies.warnings());
    match format {
        Format::Text => screen.say(as_text(&policies).trim_end()),
        Format::Json => screen.say(&as_json(&policies).to_string()),
    }
    Ok(())
}

// === for people ===

const HEADINGS: [&str; 6] = ["RULE", "STAGE", "MODE", "FROM", "PLACE", "ABOUT"];

fn as_text(policies: &Policies) -> String {
    let rules = policies.rules().iter().map(row).collect();
    let mut text = table(&HEADINGS, rules);
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

fn row(rule: &RuleInfo) -> Vec<String> {
    let gate = if rule.gate { " (gate)" } else { "" };
    let does = format!("{} {}", rule.action.name(), rule.code);
    vec![
        rule.rule.to_string(),
        rule.stage.to_string(),
        format!("{}{gate}", rule.mode.name()),
        rule.origin.name().to_owned(),
        format!("{}:{}", rule.file, rule.line),
        format!("{does}: {}", rule.doc),
    ]
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

fn as_json(policies: &Policies) -> Value {
    let rules = policies.rules().iter().map(|rule| {
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
