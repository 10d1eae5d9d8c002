//! Comparisons of values of different types: an error, where plain Rhai says "no" in silence.
//!
//! What is not there is compared as ever: `()` stands for a key that a map lacks, `""` for a note that nobody left. They equal
//! nothing of another type.

use rhai::{Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::turn::fault;

type Compared = Result<bool, Box<EvalAltResult>>;
type Text = ImmutableString;

const OPERATORS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// Makes every comparison of a text with a number or a truth value look at what it compares. Operators are then looked up as
/// functions are, which makes the whole shipped set slower by about 6 % (`benches/policies.rs`).
pub(super) fn register(engine: &mut Engine) {
    engine.set_fast_operators(false);
    for operator in OPERATORS {
        between::<i64>(engine, operator, "a whole number");
        between::<f64>(engine, operator, "a number");
        between::<bool>(engine, operator, "true or false");
        if !["==", "!="].contains(&operator) {
            with_nothing(engine, operator);
        }
    }
}

fn between<T: Clone + Send + Sync + 'static>(
    engine: &mut Engine,
    operator: &'static str,
    what: &'static str,
) {
    engine.register_fn(operator, move |call: NativeCallContext<'_>, text: Text, _: T| {
        differ(&call, operator, &text, what)
    });
    engine.register_fn(operator, move |call: NativeCallContext<'_>, _: T, text: Text| {
        differ(&call, operator, &text, what)
    });
}

fn differ(call: &NativeCallContext<'_>, operator: &str, text: &str, what: &str) -> Compared {
    if text.is_empty() {
        return Ok(operator == "!=");
    }
    Err(fault(call, format!("`{operator}` between a text and {what}: they can never be compared")))
}

fn with_nothing(engine: &mut Engine, operator: &'static str) {
    let refuse = move |call: &NativeCallContext<'_>| -> Compared {
        Err(fault(
            call,
            format!("`{operator}` with (): what is not there is not smaller or larger; write `?? 0`"),
        ))
    };
    engine.register_fn(operator, move |call: NativeCallContext<'_>, (): (), _: i64| refuse(&call));
    engine.register_fn(operator, move |call: NativeCallContext<'_>, _: i64, (): ()| refuse(&call));
    engine.register_fn(operator, move |call: NativeCallContext<'_>, (): (), _: f64| refuse(&call));
    engine.register_fn(operator, move |call: NativeCallContext<'_>, _: f64, (): ()| refuse(&call));
    engine.register_fn(operator, move |call: NativeCallContext<'_>, (): (), _: Text| refuse(&call));
    engine.register_fn(operator, move |call: NativeCallContext<'_>, _: Text, (): ()| refuse(&call));
}
