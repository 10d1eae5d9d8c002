//! Domains that the operator names where only his own make sense: a misspelt one would never be asked about.

use super::super::sources::Sources;
use super::suggest;
use crate::diagnostic::Diagnostic;

/// So many of our domains are looked through for the one that was meant.
const MAX_COMPARED: usize = 10_000;

/// Whether there is no recipient of ours at `domain`, written as `example.org` or `.example.org`. Where nobody said which domains
/// are ours, none is a stranger's.
pub(super) fn is_strange(domain: &str, sources: &Sources) -> bool {
    !sources.our_domains.is_empty() && !sources.our_domains.meets(domain)
}

/// The problem with the domain of ours that is nearest, if there is one.
pub(super) fn suggest_ours(problem: Diagnostic, domain: &str, sources: &Sources) -> Diagnostic {
    let ours = sources.our_domains.singles();
    if ours.len() > MAX_COMPARED {
        return problem;
    }
    let mut ours: Vec<_> = ours.collect();
    ours.sort_unstable();
    suggest(problem, domain, ours)
}
