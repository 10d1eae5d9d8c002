//! The configuration as JSON Schema (draft 2020-12), for editors: what may stand where is what [`raw`] reads, and
//! the words about it are those of the reference in `config/README.md`.

use serde_json::{Map, Value, json};

use super::raw;
use super::read::Read;
use super::reference::{Reference, Row};
use super::shape::{Field, Form, Shape};

/// The schema of the whole file.
pub fn schema() -> Value {
    let draft = Draft { reference: Reference::shipped() };
    let mut schema = draft.value(&raw::File::shape(), "");
    add(&mut schema, "$schema", json!("https://json-schema.org/draft/2020-12/schema"));
    add(&mut schema, "title", json!("Gatepost's configuration"));
    add(&mut schema, "description", json!("Every key is explained in config/README.md."));
    add(&mut schema, "$defs", json!({ "variable": variable() }));
    schema
}

fn add(schema: &mut Value, key: &str, value: Value) {
    if let Value::Object(schema) = schema {
        schema.insert(key.to_owned(), value);
    }
}

/// A text with a variable in it may be anything once the variable is known.
fn variable() -> Value {
    json!({
        "type": "string",
        "pattern": "\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}",
        "description": "a variable of the environment: ${NAME} or ${NAME:-default}",
    })
}

/// The schema while it is written.
struct Draft {
    reference: Reference,
}

impl Draft {
    /// What may stand at `path`.
    fn value(&self, shape: &Shape, path: &str) -> Value {
        match shape {
            Shape::Text => json!({ "type": "string", "minLength": 1 }),
            Shape::Switch => or_variable(&json!({ "type": "boolean" })),
            Shape::Whole => or_variable(&self.whole(path)),
            Shape::Form(form) => or_variable(&written(form)),
            Shape::Words(words) => or_variable(&json!({ "enum": spellings(words) })),
            Shape::Scalar => json!({ "type": ["string", "number", "boolean"] }),
            Shape::List(inner) => json!({ "type": "array", "items": self.value(inner, path) }),
            Shape::Several(inner) => {
                json!({ "type": "array", "items": self.value(inner, path), "minItems": 1 })
            }
            Shape::Named(inner) => {
                json!({ "type": "object", "additionalProperties": self.value(inner, &named(inner, path)) })
            }
            Shape::Section(fields) => self.section(fields, path),
            Shape::Either(shapes) => {
                json!({ "anyOf": shapes.iter().map(|shape| self.value(shape, path)).collect::<Vec<_>>() })
            }
        }
    }

    fn section(&self, fields: &[Field], path: &str) -> Value {
        let required: Vec<&str> =
            fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        let mut properties = Map::new();
        for field in fields {
            properties.insert(field.name.to_owned(), self.field(field, path));
        }
        let mut section =
            json!({ "type": "object", "additionalProperties": false, "properties": properties });
        if !required.is_empty() {
            add(&mut section, "required", json!(required));
        }
        section
    }

    /// What may stand behind a key, with what the reference says of it. An empty key is one that is left out.
    fn field(&self, field: &Field, path: &str) -> Value {
        let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
        let mut value = self.value(&field.shape, &path);
        let row = self.reference.row(&path);
        let words = row.map(Row::words).or_else(|| self.reference.section(&path).map(str::to_owned));
        if let Some(words) = words {
            add(&mut value, "description", json!(words));
        }
        if let Some(default) = row.and_then(|row| default_of(row, &field.shape)) {
            add(&mut value, "default", default);
        }
        value
    }

    fn whole(&self, path: &str) -> Value {
        let mut whole = json!({ "type": "integer", "minimum": 0 });
        let range = self.reference.row(path).and_then(Row::range);
        if let Some((least, most)) = range.and_then(|(least, most)| Some((number(least)?, number(most)?))) {
            add(&mut whole, "minimum", least);
            add(&mut whole, "maximum", most);
        }
        whole
    }
}

/// The path of what stands under a name of the operator's choice; a plain value has no row of its own.
fn named(inner: &Shape, path: &str) -> String {
    match inner {
        Shape::Section(_) | Shape::Either(_) => format!("{path}.NAME"),
        _ => path.to_owned(),
    }
}

fn or_variable(value: &Value) -> Value {
    json!({ "anyOf": [value, { "$ref": "#/$defs/variable" }] })
}

fn written(form: &Form) -> Value {
    json!({ "type": "string", "pattern": form.pattern, "description": form.says })
}

/// The words, and those that YAML takes for something else than a text as that too (`1.2`).
fn spellings(words: &[&str]) -> Vec<Value> {
    let other = words.iter().filter_map(|word| number(word));
    words.iter().map(|word| json!(word)).chain(other).collect()
}

fn number(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().filter(Value::is_number)
}

/// The default, where the reference has it in so many letters.
fn default_of(row: &Row, shape: &Shape) -> Option<Value> {
    let text = row.default_value()?;
    match shape {
        Shape::Switch | Shape::Whole | Shape::List(_) => serde_json::from_str(text).ok(),
        Shape::Text | Shape::Form(_) | Shape::Words(_) => Some(json!(text)),
        _ => None,
    }
}
