//! `${VAR}` and `${VAR:-default}` in values.
//!
//! Expansion comes after YAML was parsed, so that no content of a variable can add keys or change the shape of the
//! file. What a variable holds is not expanded again.

use std::borrow::Cow;

/// Where variables come from: the environment, or a table in a test.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a value could not be expanded.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum VariableError {
    /// There is no such variable, and no default.
    #[error("the environment variable `{0}` is not set")]
    Unset(String),
    /// `${` without `}`.
    #[error("`${{` without a `}}` behind it")]
    Unclosed,
    /// Not the name of a variable between the braces.
    #[error("`{0}` is not the name of an environment variable")]
    BadName(String),
}

/// `text` with every `${VAR}` replaced. `$${` stands for a plain `${`; any other `$` stays as it is. An empty
/// variable counts as unset where there is a default, as in a shell.
///
/// # Errors
/// A variable that is not set and has no default, a name that cannot be one, or a missing `}`.
pub(super) fn expand<'t>(text: &'t str, lookup: Lookup<'_>) -> Result<Cow<'t, str>, VariableError> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        if let Some(plain) = before.strip_suffix('$') {
            out.push_str(plain);
            out.push_str("${");
            rest = behind;
            continue;
        }
        let (inside, after) = behind.split_once('}').ok_or(VariableError::Unclosed)?;
        out.push_str(before);
        out.push_str(&value(inside, lookup)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn value(inside: &str, lookup: Lookup<'_>) -> Result<String, VariableError> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        return Err(VariableError::BadName(name.to_owned()));
    }
    match (lookup(name), default) {
        (Some(found), None) => Ok(found),
        (Some(found), Some(_)) if !found.is_empty() => Ok(found),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(VariableError::Unset(name.to_owned())),
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands() {
        let lookup = |name: &str| match name {
            "HOST" => Some("mx.example.org".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        };
        let cases = [
            ("plain $5", Ok("plain $5")),
            ("${HOST}", Ok("mx.example.org")),
            ("a-${HOST}-${HOST}", Ok("a-mx.example.org-mx.example.org")),
            ("${NONE:-x:-y}", Ok("x:-y")),
            ("${NONE:-}", Ok("")),
            ("${EMPTY}", Ok("")),
            ("${EMPTY:-x}", Ok("x")),
            ("${NESTED}", Ok("${HOST}")),
            ("$${HOST}", Ok("${HOST}")),
            ("$${HOST} ${HOST}", Ok("${HOST} mx.example.org")),
            ("${NONE}", Err(VariableError::Unset("NONE".into()))),
            ("${HOST", Err(VariableError::Unclosed)),
            ("${}", Err(VariableError::BadName(String::new()))),
            ("${A-B}", Err(VariableError::BadName("A-B".into()))),
            ("${1A}", Err(VariableError::BadName("1A".into()))),
        ];
        for (text, expected) in cases {
            let found = expand(text, &lookup);
            assert_eq!(found.as_deref(), expected.as_ref().copied(), "{text}");
        }
    }
}
