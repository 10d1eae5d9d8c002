//! What a function does somewhere in its text, looked up before it is walked.

use std::collections::BTreeSet;

use rhai::{ASTNode, Expr, FnPtr, Stmt, SwitchCasesCollection};

use super::super::language::{self, Nature};
use super::super::words;

/// Methods that change what they are called on.
pub(super) const CHANGING: [&str; 25] = [
    "push",
    "append",
    "insert",
    "pop",
    "shift",
    "remove",
    "clear",
    "truncate",
    "chop",
    "retain",
    "drain",
    "splice",
    "reverse",
    "sort",
    "sort_by",
    "sort_desc",
    "dedup",
    "set",
    "pad",
    "crop",
    "trim",
    "make_lower",
    "make_upper",
    "replace",
    "mixin",
];

/// Those that give what they take out.
pub(super) const TAKING: [&str; 5] = ["pop", "shift", "remove", "retain", "drain"];

/// Variables that do not stay what they were declared to be.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// They are given another value.
    pub(super) assigned: Vec<String>,
    /// They are given a value that is made of the one that they have.
    pub(super) remade: Vec<String>,
    /// What is in them is changed in place, which objects of the host's do not allow.
    pub(super) touched: Vec<String>,
}

/// What changes in these statements.
pub(super) fn changed(statements: &[Stmt]) -> Changed {
    let mut found = Changed::default();
    each(statements, &mut |node| match node {
        ASTNode::Stmt(Stmt::Assignment(assignment)) => match &assignment.1.lhs {
            Expr::Variable(variable, ..) => {
                let name = variable.1.to_string();
                if assignment.0.is_op_assignment() || has_variable(&assignment.1.rhs, &name) {
                    found.remade.push(name.clone());
                }
                found.assigned.push(name);
            }
            place => found.touched.extend(root(place)),
        },
        ASTNode::Expr(Expr::Dot(dot, ..)) => {
            if let Expr::MethodCall(call, _) = &dot.rhs
                && CHANGING.contains(&call.name.as_str())
            {
                found.touched.extend(root(&dot.lhs));
            }
        }
        _ => {}
    });
    found
}

fn has_variable(expression: &Expr, name: &str) -> bool {
    let mut found = false;
    expression.walk(&mut Vec::new(), &mut |path| {
        found |=
            matches!(path.last(), Some(ASTNode::Expr(Expr::Variable(variable, ..))) if variable.1 == name);
        true
    });
    found
}

/// The functions that the statements call or hand around, closures too, and other names.
pub(super) fn mentions(statements: &[Stmt]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    each(statements, &mut |node| match node {
        ASTNode::Stmt(Stmt::FnCall(call, _))
        | ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _)) => {
            _ = found.insert(call.name.to_string());
        }
        // `mail` and `message` are parameters: the stages' functions of these names are never handed around.
        ASTNode::Expr(Expr::Variable(variable, ..)) if words::stage_named(&variable.1).is_none() => {
            _ = found.insert(variable.1.to_string());
        }
        ASTNode::Expr(Expr::DynamicConstant(value, _)) => {
            found.extend(value.read_lock::<FnPtr>().map(|closure| closure.fn_name().to_owned()));
        }
        _ => {}
    });
    found
}

/// Whether one of the statements is a verdict, whatever it depends on.
pub(super) fn has_verdict(statements: &[Stmt]) -> bool {
    mentions(statements).iter().any(|name| is_verdict(name))
}

/// Whether the word ends the script.
pub(super) fn is_verdict(name: &str) -> bool {
    language::find(name).is_some_and(|word| matches!(word.nature, Nature::Verdict(_)))
}

/// Whether the statements do anything or give anything, whichever way they are gone through.
pub(super) fn says_something(statements: &[Stmt]) -> bool {
    statements.iter().any(|statement| match statement {
        Stmt::FnCall(..) | Stmt::Assignment(..) => true,
        Stmt::Expr(expression) => gives_something(expression),
        Stmt::Return(Some(value), ..) => gives_something(value),
        Stmt::Block(block) => says_something(block.statements()),
        Stmt::TryCatch(flow, _) => says_something(flow.body.statements()),
        Stmt::If(flow, _) => {
            says_something(flow.body.statements()) && says_something(flow.branch.statements())
        }
        Stmt::Switch(switch, _) => default_arm(switch).is_some_and(gives_something),
        _ => false,
    })
}

/// What stands behind `_` in a `switch`.
pub(super) fn default_arm(switch: &(Expr, SwitchCasesCollection)) -> Option<&Expr> {
    switch.1.expressions.get(switch.1.def_case?).map(|arm| &arm.rhs)
}

/// Whether the expression does anything, or is more than a "no".
pub(super) fn gives_something(expression: &Expr) -> bool {
    match expression {
        Expr::Unit(_) | Expr::BoolConstant(..) | Expr::Variable(..) => false,
        Expr::StringConstant(text, _) => !text.is_empty(),
        Expr::IntegerConstant(number, _) => *number != 0,
        Expr::Stmt(block) => says_something(block.statements()),
        _ => true,
    }
}

fn each(statements: &[Stmt], see: &mut impl FnMut(&ASTNode<'_>)) {
    for statement in statements {
        statement.walk(&mut Vec::new(), &mut |path| {
            if let Some(node) = path.last() {
                see(node);
            }
            true
        });
    }
}

/// The variable at the beginning of a place.
fn root(place: &Expr) -> Option<String> {
    match place {
        Expr::Variable(variable, ..) => Some(variable.1.to_string()),
        Expr::Dot(pair, ..) | Expr::Index(pair, ..) => root(&pair.lhs),
        _ => None,
    }
}
