//! Reading the text exposition back, for tests that hold the counts to an invariant.

/// Adds up the series of `metric` in a text exposition whose labels include all of `labels`.
///
/// `metric` is the name of a sample: of a histogram, say `..._count`. No such series is 0.
pub fn sum(exposition: &str, metric: &str, labels: &[(&str, &str)]) -> f64 {
    exposition
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(Sample::parse)
        .filter(|sample| sample.name == metric && labels.iter().all(|wanted| sample.has(*wanted)))
        .map(|sample| sample.value)
        .sum()
}

/// One line of the exposition.
struct Sample<'t> {
    name: &'t str,
    labels: Vec<(&'t str, String)>,
    value: f64,
}

impl<'t> Sample<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let name_end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at_checked(name_end)?;
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => parse_labels(rest)?,
            None => (Vec::new(), rest),
        };
        let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Self { name, labels, value })
    }

    fn has(&self, (wanted, value): (&str, &str)) -> bool {
        self.labels.iter().any(|(name, has)| *name == wanted && has == value)
    }
}

/// Reads `a="b",c="d"}` and gives what comes behind.
fn parse_labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, behind) = parse_value(quoted)?;
        labels.push((name, value));
        rest = behind;
    }
}

/// Reads a label's value up to its closing quote, undoing the three escapes of the format.
fn parse_value(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            plain => value.push(plain),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP gatepost_replies_total Replies.
# TYPE gatepost_replies_total counter
gatepost_replies_total{class=\"2\",listener=\"mx\"} 4
gatepost_replies_total{class=\"5\",listener=\"mx\"} 2
gatepost_replies_total{class=\"5\",listener=\"a\\\"},b\\\\\"} 3
gatepost_replies_total_other 100
gatepost_dns_cache_entries 7
";

    #[test]
    fn sums_what_the_labels_select() {
        let replies = |labels| sum(TEXT, "gatepost_replies_total", labels);
        assert_eq!(replies(&[]), 9.0);
        assert_eq!(replies(&[("class", "5")]), 5.0);
        assert_eq!(replies(&[("class", "5"), ("listener", "mx")]), 2.0);
        assert_eq!(replies(&[("listener", "a\"},b\\")]), 3.0);
        assert_eq!(replies(&[("code", "550")]), 0.0);
        assert_eq!(sum(TEXT, "gatepost_dns_cache_entries", &[]), 7.0);
    }
}
