//! As much of PromQL as it takes to see which metrics, labels and words an expression asks for.

use crate::metrics::{WORDS, chosen, family};

/// Labels that Prometheus adds, and the one of buckets.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// Metrics that are not Gatepost's own: Prometheus' of a scrape, and those of every process.
const FOREIGN: [&str; 6] = [
    "up",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
];

/// One metric that an expression reads, with what it says of its labels.
#[derive(Debug)]
pub(crate) struct Selector<'e> {
    pub(crate) name: &'e str,
    matchers: Vec<(&'e str, &'e str)>,
}

/// Every metric of Gatepost's own, or of its process, that an expression reads.
pub(crate) fn selectors(expression: &str) -> Vec<Selector<'_>> {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let mut selectors = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(|char: char| char.is_ascii_alphabetic() || char == '"') {
        rest = &rest[at..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').unwrap().1;
            continue;
        }
        let end = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        rest = behind;
        if name.starts_with("gatepost_") || FOREIGN.contains(&name) {
            let matchers = behind.strip_prefix('{').map(|labels| labels.split_once('}').unwrap().0);
            selectors.push(Selector { name, matchers: matchers.map(pairs).unwrap_or_default() });
        }
    }
    selectors
}

/// The labels of matchers with what they are compared with.
fn pairs(matchers: &str) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    let mut rest = matchers;
    while let Some((label, behind)) = rest.split_once(['=', '!']) {
        let (_, quoted) = behind.split_once('"').unwrap();
        let (value, behind) = quoted.split_once('"').unwrap();
        pairs.push((label.trim_matches([' ', ',']), value));
        rest = behind;
    }
    pairs
}

/// What is wrong with an expression: metrics, labels and words that do not exist.
pub(crate) fn faults(expression: &str) -> Vec<String> {
    selectors(expression).iter().flat_map(faults_of).collect()
}

fn faults_of(Selector { name, matchers }: &Selector<'_>) -> Vec<String> {
    if FOREIGN.contains(name) {
        return Vec::new();
    }
    let Some(family) = family(name) else { return vec![format!("there is no metric {name}")] };
    let mut faults = Vec::new();
    for (label, value) in matchers.iter().filter(|(label, _)| !ADDED.contains(label)) {
        if !family.labels.contains(label) {
            faults.push(format!("{name} has no label {label}"));
        } else if chosen(family.name, label).is_none() && !value.starts_with('$') {
            let known = &WORDS[&(family.name, *label)];
            let unknown = value.split('|').filter(|word| !word.is_empty() && !known.contains(*word));
            faults.extend(unknown.map(|word| format!("{label} of {name} is never {word}")));
        }
    }
    faults
}

#[test]
fn what_does_not_exist_is_found() {
    let expression = "sum by (rule) (rate(gatepost_rejections_total{job=~\"$job\",stage=\"rcpt\"}[5m])) > gatepost_store_up";
    assert_eq!(faults(expression), Vec::<String>::new());
    assert_eq!(selectors(expression).len(), 2);
    assert_eq!(faults("gatepost_store_up_total"), ["there is no metric gatepost_store_up_total"]);
    assert_eq!(
        faults("gatepost_dns_lookup_duration_seconds"),
        ["there is no metric gatepost_dns_lookup_duration_seconds"]
    );
    assert_eq!(faults("gatepost_store_up{list=\"a\"}"), ["gatepost_store_up has no label list"]);
    let expression = "gatepost_messages_total{listener=~\"$listener\", outcome!~\"accepted|lost\"}";
    assert_eq!(faults(expression), ["outcome of gatepost_messages_total is never lost"]);
}
