//! What a function does somewhere in its text, looked up before it is walked.

use rhai::{ASTNode, Expr, Stmt};

/// Methods that change what they are called on.
const CHANGING: [&str; 14] = [
    "push", "append", "insert", "pop", "shift", "remove", "clear", "truncate", "retain", "drain", "extract",
    "set", "pad", "replace",
];

/// Variables that do not stay what they were declared to be.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// They are given another value.
    pub(super) assigned: Vec<String>,
    /// What is in them is changed in place, which objects of the host's do not allow.
    pub(super) touched: Vec<String>,
}

/// What changes in these statements.
pub(super) fn changed(statements: &[Stmt]) -> Changed {
    let mut found = Changed::default();
    each(statements, &mut |node| match node {
        ASTNode::Stmt(Stmt::Assignment(assignment)) => match &assignment.1.lhs {
            Expr::Variable(variable, ..) => found.assigned.push(variable.1.to_string()),
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

/// Whether the statements look at a length or at DMARC, which passes only with exactly one author.
pub(super) fn minds_emptiness(statements: &[Stmt]) -> bool {
    let mut minds = false;
    each(statements, &mut |node| match node {
        ASTNode::Expr(Expr::MethodCall(call, _)) => {
            minds |= ["len", "is_empty"].contains(&call.name.as_str())
        }
        ASTNode::Expr(Expr::Property(property, _)) => {
            minds |= ["len", "is_empty", "dmarc"].contains(&property.2.as_str())
        }
        _ => {}
    });
    minds
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
