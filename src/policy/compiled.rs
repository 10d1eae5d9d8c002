//! A compiled policy file, and the call of one of its functions.

use std::sync::{Mutex, PoisonError};

use rhai::{AST, Caches, Dynamic, Engine, EvalAltResult, EvalContext, FuncArgs, ImmutableString, Scope};

/// Functions that one cache knows, at most: a script that calls one with ever other types begins anew.
const MAX_RESOLVED: usize = 4_096;
/// Caches that wait for the next calls: more calls at the same time than there are cores are rare.
const MAX_IDLE: usize = 64;

/// A policy file, compiled.
///
/// Rhai looks a function up by its name and the types of its arguments, which takes longer than most functions do, and remembers what
/// it found until the end of the call. What it found holds for as long as the file and the engine do, so here it is kept.
#[derive(Debug)]
pub(super) struct Compiled {
    ast: AST,
    /// Its name, for errors.
    source: Option<ImmutableString>,
    /// What calls remember that are over. One that runs has a cache of its own.
    resolved: Mutex<Vec<Caches>>,
}

impl Compiled {
    pub(super) fn new(ast: AST) -> Self {
        Self { source: ast.source().map(Into::into), ast, resolved: Mutex::default() }
    }

    /// Calls `function`. Every word of the host's that it says finds `tag`.
    ///
    /// # Errors
    /// Whatever ends a script, wrapped by [`EvalAltResult::ErrorInFunctionCall`] once a function.
    pub(super) fn call(
        &self,
        engine: &Engine,
        function: &str,
        arguments: impl FuncArgs,
        tag: Dynamic,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let mut global = engine.new_global_runtime_state();
        global.source = self.source.clone();
        global.lib.push(self.ast.shared_lib().clone());
        global.tag = tag;
        let (mut caches, mut scope) = (self.take_caches(), Scope::new());
        let mut context = EvalContext::new(engine, &mut global, &mut caches, &mut scope, None);
        let outcome = context.call_fn(function, arguments);
        self.keep_caches(caches);
        outcome
    }

    fn take_caches(&self) -> Caches {
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps what was found for the next call. Closures and libraries had layers of their own, which end with them.
    fn keep_caches(&self, mut caches: Caches) {
        caches.rewind_fn_resolution_caches(1);
        if caches.fn_resolution_cache_mut().dict.len() > MAX_RESOLVED {
            return;
        }
        let mut idle = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(caches);
        }
    }
}
