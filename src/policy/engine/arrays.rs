//! Functions of arrays in place of Rhai's own.
//!
//! Its `map` and `zip` first make the whole array and then look at its size: a closure that gives a text or an array for each entry
//! could make gigabytes. Its `contains`, which is `in`, looks `==` up anew for every entry.

use rhai::{
    Array, Dynamic, Engine, EvalAltResult, FnPtr, FuncRegistration, ImmutableString, NativeCallContext,
};

use super::super::turn::too_large;
use super::sizes::Size;

type Made = Result<Array, Box<EvalAltResult>>;

pub(super) fn register(engine: &mut Engine) {
    // They change nothing, so that constants have them too.
    FuncRegistration::new("map").with_purity(true).register_into_engine(engine, map);
    FuncRegistration::new("zip").with_purity(true).register_into_engine(engine, zip);
    FuncRegistration::new("contains").with_purity(true).register_into_engine(engine, contains_text);
}

/// Whether a text is among the entries.
#[allow(clippy::needless_pass_by_value)] // Rhai hands values over.
fn contains_text(
    call: NativeCallContext<'_>,
    array: &mut Array,
    text: ImmutableString,
) -> Result<bool, Box<EvalAltResult>> {
    for entry in array {
        if equals(&call, entry, &text)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an entry equals the text: a text at once, anything else by the `==` of its own type. Without one it does not.
pub(super) fn equals(
    call: &NativeCallContext<'_>,
    entry: &mut Dynamic,
    text: &ImmutableString,
) -> Result<bool, Box<EvalAltResult>> {
    if let Ok(entry) = entry.as_immutable_string_ref() {
        return Ok(*entry == *text);
    }
    match call.call_native_fn_raw("==", true, &mut [entry, &mut text.clone().into()]) {
        Ok(said) => Ok(said.as_bool().unwrap_or(false)),
        Err(error) if matches!(*error, EvalAltResult::ErrorFunctionNotFound(..)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the closure gives for each entry, and perhaps its index.
#[allow(clippy::needless_pass_by_value)] // Rhai hands values over.
fn map(call: NativeCallContext<'_>, array: &mut Array, closure: FnPtr) -> Made {
    let mut made = Growing::default();
    for (index, entry) in (0_i64..).zip(array.iter_mut()) {
        let given =
            closure.call_raw_with_extra_args("map", &call, Some(entry), [], [index.into()], Some(0))?;
        made.push(&call, given)?;
    }
    Ok(made.array)
}

/// What the closure gives for each pair of entries, and perhaps their index; as many as the shorter array has.
#[allow(clippy::needless_pass_by_value)] // Rhai hands values over.
fn zip(call: NativeCallContext<'_>, array: &mut Array, other: Array, closure: FnPtr) -> Made {
    let mut made = Growing::default();
    for (index, (one, other)) in (0_i64..).zip(array.iter().zip(other)) {
        let pair = [one.clone(), other];
        let given = closure.call_raw_with_extra_args("zip", &call, None, pair, [index.into()], None)?;
        made.push(&call, given)?;
    }
    Ok(made.array)
}

/// An array that is being made, with the size of all that is in it.
#[derive(Debug, Default)]
struct Growing {
    array: Array,
    size: Size,
}

impl Growing {
    fn push(&mut self, call: &NativeCallContext<'_>, value: Dynamic) -> Result<(), Box<EvalAltResult>> {
        self.size.add_entry(&value);
        if self.size.is_too_large() {
            return Err(too_large(call, "array"));
        }
        self.array.push(value);
        Ok(())
    }
}
