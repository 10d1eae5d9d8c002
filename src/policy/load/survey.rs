//! What a script says, out of its syntax tree: its functions, their calls, and what is written out in them.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Dynamic, Expr, FnCallExpr, FnPtr, Namespace, Position, Stmt};

use super::super::language;
use super::super::words;
use super::file::ScriptFile;
use crate::session::stage::Stage;

/// All functions of one script, closures too.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) functions: Vec<Function>,
}

/// One function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) parameters: usize,
    pub(super) position: Position,
    /// The first line of its `///` text.
    pub(super) doc: String,
    pub(super) calls: Vec<Call>,
    /// Its parameters, and then its variables.
    pub(super) variables: Vec<String>,
    /// Names with `global::` in front.
    pub(super) globals: Vec<Position>,
    /// The functions that it mentions without calling them, as it does with its closures.
    mentions: Vec<String>,
    /// What stands in front of the dot of a call, by the place of the call.
    receivers: Vec<(Position, Argument)>,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    /// `net` of `net::f(x)`; empty for most.
    pub(super) module: String,
    pub(super) position: Position,
    /// Written `x.f(y)`; `x` is not among the arguments.
    pub(super) is_method: bool,
    /// What stands in front of the dot, where that is written out.
    pub(super) receiver: Option<Argument>,
    pub(super) arguments: Vec<Argument>,
    /// The texts that are written out in its second argument: by itself, in an array, or as the names of a map.
    pub(super) written: Vec<String>,
}

/// One argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Argument {
    pub(super) value: Literal,
    pub(super) position: Position,
}

/// What is written out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Integer(i64),
    Character(char),
    /// Known only when the script runs.
    Other,
}

impl Survey {
    /// Walks the whole tree of `ast`.
    pub(super) fn of(ast: &AST, file: &ScriptFile) -> Self {
        let functions = ast.iter_fn_def().map(|definition| {
            let mut function = Function {
                name: definition.name.to_string(),
                parameters: definition.params.len(),
                position: file.position_of_function(&definition.name, definition.body.start_position()),
                doc: first_line(definition.comments.iter().map(AsRef::as_ref)),
                calls: Vec::new(),
                variables: definition.params.iter().map(ToString::to_string).collect(),
                globals: Vec::new(),
                mentions: Vec::new(),
                receivers: Vec::new(),
            };
            // The type of a body is not public; a tree with this one function can be walked all the same.
            let mut alone = ast.clone_functions_only();
            alone.retain_functions(|_, _, name, parameters| {
                *name == *definition.name && parameters == definition.params.len()
            });
            alone.walk(&mut |path| path.last().is_none_or(|node| function.see(node)));
            // The tree keeps the arms of a `switch` in another order each time.
            function.calls.sort_by_key(|call| (call.position.line(), call.position.position()));
            function
        });
        let mut functions: Vec<_> = functions.collect();
        functions.sort_by_key(|function| (function.position.line(), function.position.position()));
        Self { functions }
    }

    /// The stages from which `function` can be reached; all stages of the script for one that nobody seems to call.
    pub(super) fn stages_of(&self, function: &Function) -> Vec<Stage> {
        let own = self.stages();
        let reaching: Vec<_> = own
            .iter()
            .copied()
            .filter(|stage| self.reachable(stage.name()).contains(&function.key()))
            .collect();
        if reaching.is_empty() { own } else { reaching }
    }

    /// Whether any stage's function can lead to `function`. The names of closures are Rhai's own.
    pub(super) fn is_reached(&self, function: &Function) -> bool {
        let reaches = |stage: &Stage| self.reachable(stage.name()).contains(&function.key());
        function.name.contains('$') || self.stages().iter().any(reaches)
    }

    /// The stages for which the script has a function.
    pub(super) fn stages(&self) -> Vec<Stage> {
        let has = |stage: &Stage| self.functions.iter().any(|function| function.name == stage.name());
        Stage::ALL.into_iter().filter(has).collect()
    }

    /// All functions that a call of the stage's function `start` can lead to, itself included.
    fn reachable<'s>(&'s self, start: &str) -> BTreeSet<Key<'s>> {
        let named = self.functions.iter().filter(|function| function.name == start);
        let mut open: Vec<_> = named.collect();
        let mut found: BTreeSet<_> = open.iter().map(|function| function.key()).collect();
        while let Some(function) = open.pop() {
            for next in self.functions.iter().filter(|next| function.leads_to(next)) {
                if found.insert(next.key()) {
                    open.push(next);
                }
            }
        }
        found
    }
}

/// A function by its name and the number of its parameters: others may have the same name.
type Key<'s> = (&'s str, usize);

impl Function {
    fn key(&self) -> Key<'_> {
        (&self.name, self.parameters)
    }

    /// Whether it calls the other one, or hands it around.
    fn leads_to(&self, other: &Self) -> bool {
        let called = self.calls.iter().any(|call| {
            call.name == other.name && (call.is_method || call.arguments.len() == other.parameters)
        });
        called || self.mentions.contains(&other.name)
    }

    /// Takes down one node; always goes on.
    fn see(&mut self, node: &ASTNode<'_>) -> bool {
        match node {
            ASTNode::Stmt(Stmt::Var(variable, ..)) => self.variables.push(variable.0.name.to_string()),
            ASTNode::Stmt(Stmt::FnCall(call, position)) => self.see_call(call, *position, false),
            ASTNode::Expr(Expr::FnCall(call, position)) => self.see_call(call, *position, false),
            ASTNode::Expr(Expr::MethodCall(call, position)) => self.see_call(call, *position, true),
            ASTNode::Expr(Expr::Variable(variable, _, position)) => {
                if module(&variable.2) == "global" {
                    self.globals.push(*position);
                }
                // `mail` and `message` are parameters: the stages' functions of these names are never handed around.
                if words::stage_named(&variable.1).is_none() {
                    self.mentions.push(variable.1.to_string());
                }
            }
            ASTNode::Expr(Expr::Dot(pair, ..)) => self.see_receiver(&pair.lhs, &pair.rhs),
            ASTNode::Expr(Expr::DynamicConstant(value, _)) => self.see_value(value),
            _ => {}
        }
        true
    }

    /// The tree has what is called on something behind that.
    fn see_receiver(&mut self, receiver: &Expr, rest: &Expr) {
        let first = match rest {
            Expr::Dot(pair, ..) | Expr::Index(pair, ..) => &pair.lhs,
            step => step,
        };
        if let Expr::MethodCall(_, position) = first {
            self.receivers.push((*position, argument(receiver)));
        }
    }

    fn see_call(&mut self, call: &FnCallExpr, position: Position, is_method: bool) {
        if call.is_operator_call() {
            return;
        }
        self.calls.push(Call {
            name: call.name.to_string(),
            module: module(&call.namespace).to_owned(),
            position,
            is_method,
            receiver: self
                .receivers
                .iter()
                .find(|(at, _)| *at == position)
                .map(|(_, receiver)| receiver.clone()),
            arguments: call.args.iter().map(argument).collect(),
            written: call.args.get(1).map(written).unwrap_or_default(),
        });
    }

    fn see_value(&mut self, value: &Dynamic) {
        if let Some(closure) = value.read_lock::<FnPtr>() {
            self.mentions.push(closure.fn_name().to_owned());
        }
    }
}

impl Call {
    /// The word of the host's that this is, if it is one.
    pub(super) fn word(&self) -> Option<&'static language::Function> {
        if self.module.is_empty() {
            language::called(&self.name, self.arguments.len(), self.is_method)
        } else {
            None
        }
    }
}

/// The first line of `///` comments that says anything, without its slashes.
fn first_line<'c>(comments: impl Iterator<Item = &'c str>) -> String {
    let lines = comments.flat_map(str::lines).map(|line| line.trim().trim_start_matches('/').trim());
    lines.into_iter().find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// The first part of a namespace; empty where there is none.
fn module(namespace: &Namespace) -> &str {
    if namespace.is_empty() { "" } else { namespace.root() }
}

fn written(expression: &Expr) -> Vec<String> {
    match expression {
        Expr::StringConstant(text, _) => vec![text.to_string()],
        Expr::Map(pairs, _) => pairs.0.iter().map(|(name, _)| name.name.to_string()).collect(),
        Expr::Array(values, _) => {
            let texts = values.iter().filter_map(|value| match value {
                Expr::StringConstant(text, _) => Some(text.to_string()),
                _ => None,
            });
            texts.collect()
        }
        _ => Vec::new(),
    }
}

fn argument(expression: &Expr) -> Argument {
    let value = match expression {
        Expr::StringConstant(text, _) => Literal::Text(text.to_string()),
        Expr::IntegerConstant(number, _) => Literal::Integer(*number),
        Expr::CharConstant(character, _) => Literal::Character(*character),
        _ => Literal::Other,
    };
    Argument { value, position: begins(expression) }
}

/// Where an expression begins: the tree keeps the places of operators.
pub(in super::super) fn begins(expression: &Expr) -> Position {
    match expression {
        Expr::And(operands, _) | Expr::Or(operands, _) | Expr::Coalesce(operands, _) => {
            operands.first().map_or_else(|| expression.position(), begins)
        }
        Expr::Index(pair, ..) | Expr::Dot(pair, ..) => begins(&pair.lhs),
        Expr::FnCall(call, position) => earliest(*position, &call.args),
        other => other.start_position(),
    }
}

pub(super) fn earliest(position: Position, arguments: &[Expr]) -> Position {
    let all = arguments.iter().map(begins).chain([position]);
    all.filter(|position| !position.is_none())
        .min_by_key(|position| (position.line(), position.position()))
        .unwrap_or(position)
}
