//! Domain names that a check may ask about.

/// Whether DNS could carry the name, which has no trailing dot: labels of 1 to 63 letters, digits, hyphens and underscores.
pub(super) fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        matches!(label.len(), 1..=63)
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// The name in A-labels and lower case, if it is one that DNS could carry.
pub(super) fn ascii_domain(name: &str) -> Option<String> {
    let ascii = if name.is_ascii() { name.to_ascii_lowercase() } else { idna::domain_to_ascii(name).ok()? };
    is_domain(&ascii).then_some(ascii)
}

/// Whether a name is fully qualified. A last label of digits alone makes it none: it is an address.
pub(super) fn is_qualified(name: &str) -> bool {
    let top = name.rsplit_once('.').map(|(_, top)| top);
    is_domain(name) && top.is_some_and(|top| !top.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualified_names() {
        for (name, good) in [
            ("example.org", true),
            ("_spf.example.org", true),
            ("localhost", false),
            ("", false),
            ("192.0.2.1", false),
            ("[192.0.2.1]", false),
            ("a..example", false),
            ("a b.example", false),
            (".example", false),
            (&format!("{}.example", "x".repeat(64)), false),
        ] {
            assert_eq!(is_qualified(name), good, "{name}");
        }
    }
}
