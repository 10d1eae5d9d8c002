//! Lists against what scripts ask of them: an entry that can never be found is found here.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::lint::ListUse;
use super::super::lists::EntrySet;
use super::super::sources::{ListKind, Sources};
use crate::diagnostic::Diagnostic;

/// A list that was declared to be of one kind is never asked in vain. One without a kind may have several uses, of which one is enough.
pub(super) fn check(
    uses: &[ListUse],
    sources: &Sources,
    lists: &HashMap<String, Arc<EntrySet>>,
    problems: &mut Vec<Diagnostic>,
) {
    for (name, source) in &sources.lists {
        let uses: Vec<_> = uses.iter().filter(|one| one.list == *name).collect();
        let has = match source.kind {
            Some(kind) => vec![kind],
            None => lists.get(name).map(|list| list.kinds()).unwrap_or_default(),
        };
        let vain: Vec<_> = uses.iter().filter(|one| is_vain(one, &has)).collect();
        if has.is_empty() || source.kind.is_none() && vain.len() < uses.len() {
            continue;
        }
        for one in vain {
            let problem = in_vain(one, &has, source.kind.is_some());
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
}

fn is_vain(one: &ListUse, has: &[ListKind]) -> bool {
    one.kinds.is_some_and(|kinds| !kinds.iter().any(|kind| has.contains(kind)))
}

fn in_vain(one: &ListUse, has: &[ListKind], is_declared: bool) -> Diagnostic {
    let (list, names) = (&one.list, has.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" and "));
    let message = format!("{}, and the list `{list}` has {names} only: it is never there", one.what);
    let help = match has {
        [ListKind::Networks] => format!("ask for an IP address: `session.client.ip in list(\"{list}\")`"),
        [ListKind::Domains] => {
            format!("ask for a domain or an address: `mail.sender.domain in list(\"{list}\")`")
        }
        [ListKind::Addresses] => format!("ask for an address: `mail.sender in list(\"{list}\")`"),
        _ => format!("see what is in policies.lists.{list}"),
    };
    let problem = match is_declared {
        true => one.file.error(one.position, one.len, message),
        false => one.file.warning(one.position, one.len, message),
    };
    problem.with_help(help)
}
