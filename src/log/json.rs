//! JSON for people's terminals.

use serde::Serialize;

use super::is_deceptive;

/// A value as JSON in which no character acts on a terminal or turns the direction of writing: what [`safe`](super::safe) would escape
/// is written as `\uXXXX`, and means the same to programs.
///
/// # Errors
/// The value cannot be written as JSON.
pub fn safe_json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(|text| escaped(&text))
}

/// JSON, made harmless likewise. Beyond ASCII all characters of it stand within texts; those below were escaped when it was written,
/// but for DEL.
pub fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter >= '\u{7f}' && is_deceptive(letter) {
            let units = &mut [0; 2];
            letter.encode_utf16(units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        } else {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_escaped_and_means_the_same() {
        let text = "Grüße \u{9b}31m \u{202e}gro.elpmaxe \u{7f} \u{e0041} \\ \" \u{1b}[0m\n";
        let json = safe_json(&text).unwrap();
        assert!(
            json.contains("Grüße") && json.contains(r"\u009b31m \u202egro") && json.contains(r"\u007f"),
            "{json}"
        );
        assert!(!json.chars().any(is_deceptive), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn lines_of_json_for_reading_stay_lines() {
        let pretty = "{\n  \"a\": \"\u{9b}\"\n}";
        assert_eq!(escaped(pretty), "{\n  \"a\": \"\\u009b\"\n}");
    }
}
