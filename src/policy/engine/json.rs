//! JSON as scripts see it: maps and arrays on the way in, a text on the way out.

use rhai::{Array, Dynamic, Map};
use serde_json::{Number, Value};

/// Values within values; what is deeper is absent.
const MAX_DEPTH: usize = 16;
/// Values of one document; what comes behind them is absent.
const MAX_VALUES: usize = 4_096;

/// What a document says; `()` if it is no JSON, or larger than scripts can hold.
pub(super) fn of_text(text: &str) -> Dynamic {
    let mut left = MAX_VALUES;
    serde_json::from_str(text).map_or(Dynamic::UNIT, |value| of_value(value, MAX_DEPTH, &mut left))
}

/// Recursion ends with `depth`.
fn of_value(value: Value, depth: usize, left: &mut usize) -> Dynamic {
    if depth == 0 || *left == 0 {
        return Dynamic::UNIT;
    }
    *left -= 1;
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(value) => value.into(),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| number.as_f64().map_or(Dynamic::UNIT, Dynamic::from), Dynamic::from),
        Value::String(text) => text.into(),
        Value::Array(values) => {
            values.into_iter().map(|value| of_value(value, depth - 1, left)).collect::<Array>().into()
        }
        Value::Object(values) => {
            let pairs =
                values.into_iter().map(|(name, value)| (name.into(), of_value(value, depth - 1, left)));
            Dynamic::from_map(pairs.collect::<Map>())
        }
    }
}

/// The document for a value; `None` if it holds something that JSON has no word for.
pub(super) fn to_text(value: &Dynamic) -> Option<String> {
    serde_json::to_string(&to_value(value, MAX_DEPTH)?).ok()
}

/// Recursion ends with `depth`.
fn to_value(value: &Dynamic, depth: usize) -> Option<Value> {
    if depth == 0 {
        return None;
    }
    if value.is_unit() {
        return Some(Value::Null);
    }
    if let Ok(value) = value.as_bool() {
        return Some(value.into());
    }
    if let Ok(value) = value.as_int() {
        return Some(value.into());
    }
    if let Ok(value) = value.as_float() {
        return Number::from_f64(value).map(Value::Number);
    }
    if let Some(values) = value.read_lock::<Array>() {
        return values
            .iter()
            .map(|value| to_value(value, depth - 1))
            .collect::<Option<_>>()
            .map(Value::Array);
    }
    if let Some(values) = value.read_lock::<Map>() {
        let pairs = values.iter().map(|(name, value)| Some((name.to_string(), to_value(value, depth - 1)?)));
        return pairs.collect::<Option<_>>().map(Value::Object);
    }
    value.clone().into_immutable_string().ok().map(|text| Value::String(text.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let text = r#"{"a":[1,-2.5,true,null,"x"],"b":{"c":{}}}"#;
        assert_eq!(to_text(&of_text(text)).unwrap(), text);
        assert!(of_text("no json").is_unit() && of_text("").is_unit());
    }

    #[test]
    fn documents_are_bounded() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(of_text(&deep).is_unit());
        let wide = format!("[{}1]", "1,".repeat(10_000));
        let values = of_text(&wide).into_array().unwrap();
        assert_eq!(values.iter().filter(|value| value.is_int()).count(), MAX_VALUES - 1);
        assert_eq!(to_text(&Dynamic::from(f64::NAN)), None);
    }
}
