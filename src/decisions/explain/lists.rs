//! Settings that are long lists, with so much of them as an operator wants to see.

/// Characters of a setting that are shown whole.
const WHOLE: usize = 80;
/// Values that are shown of a longer one.
const SHOWN: usize = 4;

/// The values of a setting that is a list; `None` of any other.
pub(super) fn values(value: &str) -> Option<Vec<String>> {
    let values: Vec<serde_json::Value> = serde_json::from_str(value).ok()?;
    let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Some(values.into_iter().map(text).collect())
}

/// A setting in words. Of a long list those values are told that were `seen` in what was decided about, or else the first ones.
pub(super) fn shown(value: &str, seen: &[String]) -> String {
    let long = values(value).filter(|_| value.chars().count() > WHOLE);
    let Some(values) = long else { return value.to_owned() };
    let found: Vec<_> = values.iter().filter(|value| seen.contains(value)).map(String::as_str).collect();
    let many = values.len();
    if found.is_empty() {
        let first: Vec<_> = values.iter().take(SHOWN).map(String::as_str).collect();
        format!("{} and {} more", first.join(", "), many.saturating_sub(SHOWN))
    } else {
        format!("{} is among its {many} values", found.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_list_that_is_shown_which_matters() {
        let long: Vec<_> = (0..50).map(|number| format!("\"e{number}\"")).collect();
        let long = format!("[{}]", long.join(", "));
        let seen = ["e7".to_owned(), "pdf".to_owned()];
        assert_eq!(shown(&long, &seen), "e7 is among its 50 values");
        assert_eq!(shown(&long, &[]), "e0, e1, e2, e3 and 46 more");
        assert_eq!(shown("[\"a\", \"b\"]", &seen), "[\"a\", \"b\"]");
        assert_eq!(shown("50MiB", &seen), "50MiB");
    }
}
