//! A compiled policy file, and the calls of its stage functions.

use std::sync::{Mutex, PoisonError};

use rhai::{
    AST, ASTNode, Caches, Dynamic, Engine, EvalAltResult, EvalContext, Expr, Expression, ImmutableString,
    Module, Position, Scope, ScriptFuncDef, Shared, Stmt, StmtBlock,
};

use crate::session::stage::Stage;

/// Functions that one cache knows, at most: a script that calls one with ever other types begins anew.
const MAX_RESOLVED: usize = 4_096;
/// Desks that wait for the next calls: more calls at the same time than there are cores are rare.
const MAX_IDLE: usize = 64;

/// A policy file, compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    /// All its functions, for the calls among them.
    functions: Shared<Module>,
    /// Its name, for errors.
    source: Option<ImmutableString>,
    stages: Vec<StageFunction>,
}

impl Compiled {
    pub(super) fn new(ast: &AST) -> Self {
        let is_stage = |name: &str| Stage::ALL.into_iter().any(|stage| stage.name() == name);
        let stages = ast.iter_fn_def().filter(|definition| is_stage(&definition.name));
        Self {
            functions: ast.shared_lib().clone(),
            source: ast.source().map(Into::into),
            stages: stages.map(|definition| StageFunction::of(ast, definition)).collect(),
        }
    }

    /// Where the body of the stage's function begins, if there is one.
    pub(super) fn begin(&self, stage: Stage) -> Position {
        let function = self.stages.iter().find(|function| function.stage_name == stage.name());
        function.map_or(Position::NONE, |function| function.begin)
    }

    /// Calls the function of `stage`, which gives the arguments back as it leaves them. Every word of the host's that it says finds
    /// `tag`.
    ///
    /// # Errors
    /// Whatever ends a script; wrapped by [`EvalAltResult::ErrorInFunctionCall`] once for each function that the stage's called.
    pub(super) fn call(
        &self,
        engine: &Engine,
        stage: Stage,
        arguments: &mut [Dynamic],
        tag: Dynamic,
    ) -> Result<(), Box<EvalAltResult>> {
        let takes = |function: &&StageFunction| {
            function.stage_name == stage.name() && function.parameters.len() == arguments.len()
        };
        let Some(function) = self.stages.iter().find(takes) else {
            return Err(EvalAltResult::ErrorFunctionNotFound(stage.name().to_owned(), Position::NONE).into());
        };
        let mut global = engine.new_global_runtime_state();
        global.source.clone_from(&self.source);
        global.lib.push(self.functions.clone());
        global.tag = tag;
        let Desk { mut caches, mut scope } = function.desk();
        function.exchange(&mut scope, arguments);
        let mut context = EvalContext::new(engine, &mut global, &mut caches, &mut scope, None);
        let outcome = context.eval_expression_tree(&Expression::from(&function.body));
        function.exchange(&mut scope, arguments);
        function.keep(Desk { caches, scope });
        match outcome {
            Ok(_) => Ok(()),
            Err(error) if matches!(*error, EvalAltResult::Return(..) | EvalAltResult::Exit(..)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A function that is called from outside.
///
/// Its body is evaluated as a block whose first variables are its parameters. Rhai's own call would look the function up by name
/// and types and copy the names of its parameters each time, which takes longer than many of these functions do.
#[derive(Debug)]
struct StageFunction {
    stage_name: String,
    parameters: Vec<String>,
    begin: Position,
    body: Expr,
    /// What calls leave that are over.
    idle: Mutex<Vec<Desk>>,
}

/// What a call needs and the next one can use again.
#[derive(Debug)]
struct Desk {
    /// Which functions were found for which names and types of arguments: this holds for as long as the file and the engine do.
    caches: Caches,
    /// The parameters, without their values.
    scope: Scope<'static>,
}

impl StageFunction {
    fn of(ast: &AST, definition: &ScriptFuncDef) -> Self {
        let body = StmtBlock::new(statements(ast, definition), Position::NONE, Position::NONE);
        Self {
            stage_name: definition.name.to_string(),
            parameters: definition.params.iter().map(ToString::to_string).collect(),
            begin: definition.body.start_position(),
            body: Expr::Stmt(Box::new(body)),
            idle: Mutex::default(),
        }
    }

    fn desk(&self) -> Desk {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| {
            let mut scope = Scope::new();
            scope.extend(self.parameters.iter().map(|name| (name.as_str(), Dynamic::UNIT)));
            Desk { caches: Caches::new(), scope }
        })
    }

    /// Gives the parameters these values, in order, for those that they have.
    fn exchange(&self, scope: &mut Scope<'static>, values: &mut [Dynamic]) {
        for (name, value) in self.parameters.iter().zip(values) {
            if let Some(parameter) = scope.get_mut(name) {
                std::mem::swap(parameter, value);
            }
        }
    }

    /// Keeps a desk for the next call. Closures and libraries had layers of the caches of their own.
    fn keep(&self, mut desk: Desk) {
        desk.scope.rewind(self.parameters.len());
        desk.caches.rewind_fn_resolution_caches(1);
        if desk.caches.fn_resolution_cache_mut().dict.len() > MAX_RESOLVED {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(desk);
        }
    }
}

/// The statements of one function of a tree. The type of a body is not public; a tree with this one function can be walked all the
/// same.
pub(super) fn statements(ast: &AST, definition: &ScriptFuncDef) -> Vec<Stmt> {
    let mut alone = ast.clone_functions_only();
    alone.retain_functions(|_, _, name, parameters| {
        *name == *definition.name && parameters == definition.params.len()
    });
    let mut statements = Vec::new();
    alone.walk(&mut |path| {
        if let [ASTNode::Stmt(statement)] = path {
            statements.push((*statement).clone());
        }
        true
    });
    statements
}
