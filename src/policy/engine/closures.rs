//! No function is named by a text.
//!
//! Rhai's arrays still take one in a closure's place, from the times before there were closures: `["x"].reduce("reject", "no")` would
//! be a verdict that no check at load has seen. The checks refuse every text that they see there; this refuses those that are known
//! only when the script runs.

use rhai::{Array, Dynamic, Engine, EvalAltResult, FuncRegistration, ImmutableString, NativeCallContext};

use super::super::turn::fault;
use super::arrays::equals;

type Outcome<T> = Result<T, Box<EvalAltResult>>;
type Text = ImmutableString;

/// What would call the function that a text names.
const CALLING: [&str; 10] =
    ["map", "filter", "some", "all", "dedup", "sort", "drain", "retain", "reduce", "reduce_rev"];

pub(super) fn register(engine: &mut Engine) {
    for word in CALLING {
        register_pure(word)
            .register_into_engine(engine, move |call: NativeCallContext<'_>, _: &mut Array, name: Text| {
                refuse(&call, word, &name)
            });
    }
    // With what it begins with.
    for word in ["reduce", "reduce_rev"] {
        register_pure(word).register_into_engine(
            engine,
            move |call: NativeCallContext<'_>, _: &mut Array, name: Text, _: Dynamic| {
                refuse(&call, word, &name)
            },
        );
    }
    // Here a text is what is looked for, and may have the name of a function.
    register_pure("index_of")
        .register_into_engine(engine, |call: NativeCallContext<'_>, array: &mut Array, text: Text| {
            index_of(&call, array, &text, 0)
        });
    register_pure("index_of").register_into_engine(
        engine,
        |call: NativeCallContext<'_>, array: &mut Array, text: Text, from: i64| {
            index_of(&call, array, &text, from)
        },
    );
}

/// They change nothing, so that constants have them too.
fn register_pure(name: &str) -> FuncRegistration {
    FuncRegistration::new(name).with_purity(true)
}

fn refuse(call: &NativeCallContext<'_>, word: &str, name: &str) -> Outcome<Dynamic> {
    let name = name.escape_debug();
    Err(fault(call, format!("`{word}` takes a closure, `|entry| ...`, and not the name \"{name}\"")))
}

/// Where the text is in the array, from an index on, which may count from the end; -1 where it is not.
fn index_of(call: &NativeCallContext<'_>, array: &mut Array, text: &Text, from: i64) -> Outcome<i64> {
    let len = i64::try_from(array.len()).unwrap_or(i64::MAX);
    let from = if from < 0 { len.saturating_add(from) } else { from };
    for (index, entry) in (0_i64..).zip(array.iter_mut()).skip_while(|(index, _)| *index < from) {
        if equals(call, entry, text)? {
            return Ok(index);
        }
    }
    Ok(-1)
}
