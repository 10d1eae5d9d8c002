//! The Rhai engine: its limits, and the words that Gatepost teaches it.

use rhai::packages::{
    BasicArrayPackage, BasicMapPackage, BasicMathPackage, BitFieldPackage, CorePackage, LogicPackage,
    MoreStringPackage, Package as _,
};
use rhai::{Dynamic, Engine, EvalAltResult, NativeCallContext, OptimizationLevel};

use super::clock;
use super::sources::Budget;
use super::turn::{Stop, fault};
use super::words::FORBIDDEN;

mod addresses;
mod arrays;
mod closures;
mod effects;
mod facts;
mod functions;
mod guards;
mod json;
mod mail;
mod message;
mod outside;
mod parts;
mod reads;
mod recipients;
mod session;
mod sizes;
mod state;
mod verdicts;

pub(super) use mail::{Mail, Rcpt};
pub(super) use message::Message;
pub(super) use session::Session;
pub(super) use sizes::Size;
pub(super) use state::MAX_TIME;

/// Longest text, and all texts of one array together: as much as a whole header.
const MAX_TEXT: usize = 256 * 1024;
const MAX_ARRAY: usize = 4_096;
const MAX_MAP: usize = 1_024;
const MAX_CALL_DEPTH: usize = 32;
const MAX_EXPRESSION_DEPTH: usize = 64;
const MAX_EXPRESSION_DEPTH_IN_FUNCTIONS: usize = 48;
const MAX_FUNCTIONS: usize = 256;
const MAX_VARIABLES: usize = 256;

/// An engine with every limit and every word, but without lists, settings and libraries.
pub(super) fn build(budget: &Budget) -> Engine {
    let mut engine = plain();
    limit(&mut engine, budget);
    for (symbol, _) in FORBIDDEN {
        engine.disable_symbol(symbol);
    }
    replace_sleep(&mut engine);
    session::register(&mut engine);
    sizes::register(&mut engine);
    addresses::register(&mut engine);
    arrays::register(&mut engine);
    closures::register(&mut engine);
    mail::register(&mut engine);
    message::register(&mut engine);
    parts::register(&mut engine);
    facts::register(&mut engine);
    outside::register(&mut engine);
    state::register(&mut engine);
    functions::register(&mut engine);
    reads::register(&mut engine);
    verdicts::register(&mut engine);
    effects::register(&mut engine);
    recipients::register(&mut engine);
    guards::register(&mut engine);
    engine
}

/// An engine with Rhai's standard library, without time, blobs and files, and with nothing of Gatepost's.
pub(super) fn plain() -> Engine {
    let mut engine = Engine::new_raw();
    engine.register_global_module(CorePackage::new().as_shared_module());
    engine.register_global_module(BitFieldPackage::new().as_shared_module());
    engine.register_global_module(LogicPackage::new().as_shared_module());
    engine.register_global_module(BasicMathPackage::new().as_shared_module());
    engine.register_global_module(BasicArrayPackage::new().as_shared_module());
    engine.register_global_module(BasicMapPackage::new().as_shared_module());
    engine.register_global_module(MoreStringPackage::new().as_shared_module());
    engine
}

fn limit(engine: &mut Engine, budget: &Budget) {
    let operations = budget.operations;
    engine
        // The tree is checked as it was written, and runs as it was checked.
        .set_optimization_level(OptimizationLevel::None)
        .set_strict_variables(true)
        // Operations are counted here alone: those of a closure that begins to loop would else end by Rhai's count, and `sort` swallows it.
        .set_max_operations(0)
        .set_max_call_levels(MAX_CALL_DEPTH)
        .set_max_expr_depths(MAX_EXPRESSION_DEPTH, MAX_EXPRESSION_DEPTH_IN_FUNCTIONS)
        .set_max_string_size(MAX_TEXT)
        .set_max_array_size(MAX_ARRAY)
        .set_max_map_size(MAX_MAP)
        .set_max_functions(MAX_FUNCTIONS)
        .set_max_variables(MAX_VARIABLES)
        .set_max_modules(0)
        .on_progress(move |_| clock::count(operations).map(|spent| Dynamic::from(Stop::Spent(spent))));
}

/// Rhai's own `sleep` would block a worker thread; the name is refused at load, this stands behind it.
fn replace_sleep(engine: &mut Engine) {
    let refuse = |call: &NativeCallContext<'_>| -> Result<(), Box<EvalAltResult>> {
        Err(fault(call, "a script never waits"))
    };
    engine.register_fn("sleep", move |call: NativeCallContext<'_>, _: i64| refuse(&call));
    engine.register_fn("sleep", move |call: NativeCallContext<'_>, _: f64| refuse(&call));
}
