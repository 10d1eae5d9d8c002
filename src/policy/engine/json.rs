//! JSON as scripts see it: maps and arrays on the way in, a text on the way out.

use rhai::{Array, Dynamic, Map};
use serde_json::{Number, Value};

use super::{MAX_ARRAY, MAX_MAP};

/// Values within values; what is deeper is absent.
const MAX_DEPTH: usize = 16;

/// What a document may still bring; what comes behind it is absent.
struct Room {
    values: usize,
    keys: usize,
}

/// The object that a text is; without keys if it is no JSON, or no object, so that what is looked for is not there.
pub(super) fn object(text: &str) -> Map {
    of_text(text).try_cast().unwrap_or_default()
}

/// The values of the array that a text is; none if it is no JSON, or no array.
pub(super) fn values(text: &str) -> Array {
    of_text(text).into_array().unwrap_or_default()
}

/// What a document says, as far as scripts can hold it; `()` if it is no JSON.
fn of_text(text: &str) -> Dynamic {
    // As much as one array and one map can hold.
    let mut room = Room { values: MAX_ARRAY, keys: MAX_MAP };
    serde_json::from_str(text).map_or(Dynamic::UNIT, |value| of_value(value, MAX_DEPTH, &mut room))
}

/// Recursion ends with `depth`.
fn of_value(value: Value, depth: usize, room: &mut Room) -> Dynamic {
    if depth == 0 || room.values == 0 {
        return Dynamic::UNIT;
    }
    room.values -= 1;
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(value) => value.into(),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| number.as_f64().map_or(Dynamic::UNIT, Dynamic::from), Dynamic::from),
        Value::String(text) => text.into(),
        Value::Array(values) => {
            let fitting = values.len().min(room.values);
            let values = values.into_iter().take(fitting);
            values.map(|value| of_value(value, depth - 1, room)).collect::<Array>().into()
        }
        Value::Object(values) => {
            let fitting = values.len().min(room.keys);
            room.keys -= fitting;
            let pairs = values.into_iter().take(fitting);
            let pairs = pairs.map(|(name, value)| (name.into(), of_value(value, depth - 1, room)));
            Dynamic::from_map(pairs.collect::<Map>())
        }
    }
}

/// The document for a map; `None` if it holds something that JSON has no word for.
pub(super) fn to_text(map: &Map) -> Option<String> {
    serde_json::to_string(&to_object(map, MAX_DEPTH)?).ok()
}

fn to_object(map: &Map, depth: usize) -> Option<Value> {
    let pairs = map.iter().map(|(name, value)| Some((name.to_string(), to_value(value, depth - 1)?)));
    pairs.collect::<Option<_>>().map(Value::Object)
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
        return to_object(&values, depth);
    }
    value.clone().into_immutable_string().ok().map(|text| Value::String(text.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let text = r#"{"a":[1,-2.5,true,null,"x"],"b":{"c":{}}}"#;
        assert_eq!(to_text(&object(text)).unwrap(), text);
        assert_eq!(values("[1, 2]").len(), 2);
    }

    #[test]
    fn what_is_something_else_has_nothing_in_it() {
        for text in ["", "no json", "<html>", "null", "7", "\"x\"", "true"] {
            assert!(object(text).is_empty() && values(text).is_empty(), "{text}");
        }
        assert!(object("[1]").is_empty() && values("{}").is_empty());
    }

    #[test]
    fn documents_are_bounded() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(of_text(&deep).is_unit());
        let wide = format!("[{}1]", "1,".repeat(10_000));
        let values = of_text(&wide).into_array().unwrap();
        assert_eq!(values.iter().filter(|value| value.is_int()).count(), MAX_ARRAY - 1);
        let keys: Vec<_> = (0..2_000).map(|i| format!("\"k{i}\":{{\"a\":1}}")).collect();
        let document = of_text(&format!("{{{}}}", keys.join(",")));
        let document = document.cast::<Map>();
        let inner = document.values().filter_map(|value| value.read_lock::<Map>().map(|map| map.len()));
        let keys = document.len() + inner.sum::<usize>();
        assert_eq!(keys, MAX_MAP);
        assert_eq!(to_text(&Map::from([("a".into(), f64::NAN.into())])), None);
    }
}
