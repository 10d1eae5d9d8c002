//! How large a value is, all that is in it counted, and what is written of arrays and maps only where that is within the limits.
//!
//! Rhai looks at the size of an array or a map when a function is called on it, and not when something is assigned to an entry:
//! `for i in 0..4000 { all[i] = text; }` holds one text 4,000 times and takes no memory for it, but a text of it all would be a
//! gigabyte. So each function here looks before it writes.

use rhai::{
    Array, Dynamic, Engine, EvalAltResult, FuncRegistration, ImmutableString, Map, NativeCallContext,
};

use super::super::clock;
use super::super::judgement::FaultKind;
use super::super::turn::{fault, too_large};
use super::{MAX_ARRAY, MAX_MAP, MAX_TEXT, json};

/// What Rhai calls to make a text of a value.
const WORDS: [&str; 4] = ["print", "to_string", "debug", "to_debug"];

pub(super) fn register(engine: &mut Engine) {
    for word in WORDS {
        FuncRegistration::new(word).with_purity(true).register_into_engine(engine, array_text);
        FuncRegistration::new(word).with_purity(true).register_into_engine(engine, map_text);
    }
    // Rhai's own escapes some characters as JSON does not know it.
    FuncRegistration::new("to_json").with_purity(true).register_into_engine(engine, to_json);
}

/// What Rhai counts: entries of arrays, of maps, and octets of texts, those of values within values too.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Size {
    entries: usize,
    keys: usize,
    octets: usize,
}

impl Size {
    /// The size of one value.
    pub(in super::super) fn of(value: &Dynamic) -> Self {
        let mut size = Self::default();
        size.add(value);
        size
    }

    fn of_array(array: &Array) -> Self {
        let mut size = Self::default();
        size.add_entries(array);
        size
    }

    fn of_map(map: &Map) -> Self {
        let mut size = Self::default();
        size.add_keys(map);
        size
    }

    /// Counts another entry of what is being made.
    pub(super) fn add_entry(&mut self, value: &Dynamic) {
        self.entries += 1;
        self.add(value);
    }

    /// Recursion ends with the value: none holds itself.
    fn add(&mut self, value: &Dynamic) {
        if let Ok(text) = value.as_immutable_string_ref() {
            self.octets += text.len();
        } else if let Ok(entries) = value.as_array_ref() {
            self.add_entries(&entries);
        } else if let Some(map) = value.read_lock::<Map>() {
            self.add_keys(&map);
        }
    }

    fn add_entries(&mut self, entries: &Array) {
        self.entries += entries.len();
        entries.iter().for_each(|entry| self.add(entry));
    }

    fn add_keys(&mut self, map: &Map) {
        self.keys += map.len();
        map.values().for_each(|value| self.add(value));
    }

    /// Whether it is more than a value may be.
    pub(in super::super) const fn is_too_large(self) -> bool {
        self.entries > MAX_ARRAY || self.keys > MAX_MAP || self.octets > MAX_TEXT
    }
}

/// An array as a text, as Rhai writes it.
#[allow(clippy::needless_pass_by_value)] // Rhai hands values over.
fn array_text(call: NativeCallContext<'_>, array: &mut Array) -> String {
    if Size::of_array(array).is_too_large() {
        array.clear();
        return exhausted();
    }
    let entries: Vec<_> = array.iter_mut().map(|entry| debug(&call, entry).to_string()).collect();
    format!("[{}]", entries.join(", "))
}

/// A map as a text, as Rhai writes it.
#[allow(clippy::needless_pass_by_value)] // Rhai hands values over.
fn map_text(call: NativeCallContext<'_>, map: &mut Map) -> String {
    if Size::of_map(map).is_too_large() {
        map.clear();
        return exhausted();
    }
    let entries: Vec<_> =
        map.iter_mut().map(|(key, value)| format!("{key:?}: {}", debug(&call, value))).collect();
    format!("#{{{}}}", entries.join(", "))
}

/// Where Rhai makes a text of a value, it takes an error for "write it in another way", and one is what its own look at the size
/// gives afterwards. So the run ends at its next operation, and nothing is left to be written.
fn exhausted() -> String {
    clock::exhaust(FaultKind::Size);
    String::new()
}

/// What Rhai writes of an entry.
fn debug(call: &NativeCallContext<'_>, value: &mut Dynamic) -> ImmutableString {
    let text = call.call_native_fn_raw("to_debug", true, &mut [value]);
    let text = text.ok().and_then(|text| text.into_immutable_string().ok());
    text.unwrap_or_else(|| call.engine().map_type_name(value.type_name()).into())
}

/// A map as JSON.
#[allow(clippy::needless_pass_by_value)] // Rhai hands values over.
fn to_json(call: NativeCallContext<'_>, map: &mut Map) -> Result<String, Box<EvalAltResult>> {
    document(&call, map)
}

/// The JSON of a map.
///
/// # Errors
/// It is too large, or holds what JSON has no word for.
pub(super) fn document(call: &NativeCallContext<'_>, map: &Map) -> Result<String, Box<EvalAltResult>> {
    if Size::of_map(map).is_too_large() {
        return Err(too_large(call, "map"));
    }
    json::to_text(map)
        .ok_or_else(|| fault(call, "what becomes JSON must be texts, numbers, bools, arrays and maps"))
}
