//! Statements, one after the other.

use rhai::{ASTFlags, BinaryExpr, Expr, Position, Stmt, StmtBlock, SwitchCasesCollection};

use super::super::language::{Type, object_named};
use super::super::load::Role;
use super::super::words;
use super::compare::shown;
use super::expressions::{a, width};
use super::value::{Value, is_address};
use super::{Walk, flow, source};

impl Walk<'_> {
    /// The statements of a block in a scope of their own, and the value of the last one.
    pub(super) fn block<'s>(&mut self, statements: impl IntoIterator<Item = &'s Stmt>) -> Value {
        let outer = self.scope.len();
        let around = std::mem::replace(&mut self.block_begins, outer);
        let mut last = Value::of(Type::Nothing);
        let mut statements = statements.into_iter().peekable();
        while let Some(statement) = statements.next() {
            if statements.peek().is_some() {
                self.dropped = last_call(statement);
            }
            last = self.statement(statement);
        }
        self.block_begins = around;
        self.scope.truncate(outer);
        last
    }

    fn statement(&mut self, statement: &Stmt) -> Value {
        match statement {
            Stmt::Expr(expression) => return self.expression(expression),
            Stmt::FnCall(call, position) => return self.call(call, *position),
            Stmt::Block(block) => return self.block(block.iter()),
            Stmt::If(flow, _) => {
                let first = self.tested.count();
                self.condition(&flow.expr);
                let (then, otherwise) = (flow.body.statements(), flow.branch.statements());
                let says_else = flow::says_something(otherwise);
                self.tested.branched(first, flow::has_verdict(then), says_else);
                let then = self.block(flow.body.iter());
                return then.join(&self.block(flow.branch.iter()));
            }
            Stmt::Switch(switch, position) => {
                let subject = self.expression(&switch.0);
                self.arms(&subject, switch, *position);
                if flow::default_arm(switch).is_some_and(flow::gives_something) {
                    self.tested.others(&subject, *position);
                }
                return self.cases(switch.1.expressions.iter());
            }
            Stmt::While(flow, _) | Stmt::Do(flow, ..) => {
                let ends = !matches!(flow.expr, Expr::Unit(_));
                if ends {
                    self.condition(&flow.expr);
                }
                return self.looped(&flow.body, ends);
            }
            Stmt::For(parts, _) => {
                let (name, counter, flow) = &**parts;
                let all = self.expression(&flow.expr);
                let entry = self.entry_of(&all, &flow.expr);
                let outer = self.scope.len();
                self.declare(&name.name, entry.spelled(name.name.as_str()));
                if let Some(counter) = counter {
                    self.declare(&counter.name, Value::of(Type::Integer).spelled(counter.name.as_str()));
                }
                let given = self.looped(&flow.body, true);
                self.scope.truncate(outer);
                return given;
            }
            other => self.plain_statement(other),
        }
        Value::of(Type::Nothing)
    }

    fn plain_statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Var(variable, ..) => {
                let (name, value, _) = &**variable;
                let value = self.handed(value);
                self.declare(&name.name, value.spelled(name.name.as_str()));
            }
            Stmt::Assignment(assignment) => {
                let value = self.assignment(&assignment.1);
                if !assignment.0.is_op_assignment()
                    && let Expr::Variable(variable, ..) = &assignment.1.lhs
                {
                    self.assign(&variable.1, value);
                }
            }
            Stmt::TryCatch(flow, position) => {
                self.in_try += 1;
                self.block(flow.body.iter());
                self.in_try -= 1;
                // The variable of `catch` is in the expression's place.
                let outer = self.scope.len();
                if let Expr::Variable(variable, ..) = &flow.expr {
                    self.declare(&variable.1, Value::unknown());
                }
                self.block(flow.branch.iter());
                self.scope.truncate(outer);
                if flow.branch.is_empty() {
                    let message = "an empty `catch` hides every error of this script".to_owned();
                    self.warning(
                        *position,
                        3,
                        message,
                        "leave the error to `policies.on_error`, or say what follows from it",
                    );
                }
            }
            Stmt::Return(value, flags, position) => {
                let value =
                    value.as_ref().map_or_else(|| Value::of(Type::Nothing), |value| self.expression(value));
                if !flags.contains(ASTFlags::BREAK) {
                    self.returns(value, *position);
                }
            }
            Stmt::BreakLoop(value, flags, _) if flags.contains(ASTFlags::BREAK) => {
                let value =
                    value.as_ref().map_or_else(|| Value::of(Type::Nothing), |value| self.expression(value));
                self.broken = Some(joined(self.broken.take(), value));
            }
            _ => {}
        }
    }

    /// A loop, which gives what its `break` gives, or nothing where it comes to its end.
    fn looped(&mut self, body: &StmtBlock, ends: bool) -> Value {
        let around = self.broken.take();
        self.block(body.iter());
        let broken = std::mem::replace(&mut self.broken, around);
        match (broken, ends) {
            (broken, true) => joined(broken, Value::of(Type::Nothing)),
            (Some(broken), false) => broken,
            (None, false) => Value::unknown(),
        }
    }

    fn returns(&mut self, value: Value, position: Position) {
        let is_plain = matches!(value.kind, Type::Text(_) | Type::Integer | Type::Float | Type::Bool);
        if is_plain
            && self.unit.role == Role::Policy
            && self.within.is_some_and(|body| words::stage_named(&body.name).is_some())
        {
            let message = "nobody looks at what a stage's function gives".to_owned();
            let help = "a verdict is said, `reject(\"rule\", \"why\");`, and without one there is no objection: `return;`";
            self.warning(position, 6, message, help);
        }
        if self.in_closure {
            let message = "this `return` leaves the closure only, and not the function".to_owned();
            self.warning(position, 6, message, "walk the array with `for`, where `return` ends the function");
        }
        self.returned = Some(joined(self.returned.take(), value));
    }

    /// What hangs on an object of the host's cannot be given another value. Gives the value that is assigned.
    fn assignment(&mut self, assignment: &BinaryExpr) -> Value {
        let value = self.expression(&assignment.rhs);
        let (Expr::Dot(pair, ..) | Expr::Index(pair, ..)) = &assignment.lhs else {
            self.expression(&assignment.lhs);
            return value;
        };
        let owner = self.expression(&pair.lhs);
        match self.fixed(&owner, &assignment.lhs) {
            Some((owner, property, position)) => {
                let message = format!("`{property}` of {} cannot be changed", owner.name());
                let help = format!("keep the new value in a variable of your own: `let {property} = ...`");
                self.error(position, property.chars().count(), message, help);
            }
            None => _ = self.expression(&assignment.lhs),
        }
        value
    }

    /// The last object of the host's on the way to `place`, which begins with `owner`, and the property that is taken from it.
    fn fixed(&mut self, owner: &Value, place: &Expr) -> Option<(Value, String, Position)> {
        let (Expr::Dot(pair, flags, _) | Expr::Index(pair, flags, _)) = place else { return None };
        let (next, rest) = match (place, &pair.rhs) {
            (Expr::Dot(..), Expr::Property(..)) => (None, None),
            (Expr::Dot(..), rest @ (Expr::Dot(inner, ..) | Expr::Index(inner, ..))) => {
                (Some(self.dot(owner.clone(), &inner.lhs, ASTFlags::empty())), Some(rest))
            }
            (Expr::Index(..), rest @ (Expr::Dot(inner, ..) | Expr::Index(inner, ..)))
                if !flags.contains(ASTFlags::BREAK) =>
            {
                (Some(self.index(owner, &inner.lhs, ASTFlags::BREAK)), Some(rest))
            }
            _ => (None, None),
        };
        let deeper = next.zip(rest).and_then(|(next, rest)| self.fixed(&next, rest));
        deeper.or_else(|| match (place, owner.kind, step(&pair.rhs)) {
            (Expr::Dot(..), Type::Object(_), Expr::Property(property, position)) => {
                Some((owner.clone(), property.2.to_string(), *position))
            }
            _ => None,
        })
    }

    fn cases<'s>(&mut self, cases: impl Iterator<Item = &'s BinaryExpr>) -> Value {
        let mut all: Option<Value> = None;
        for case in cases {
            if !matches!(case.lhs, Expr::BoolConstant(..)) {
                self.condition(&case.lhs);
            }
            let value = self.expression(&case.rhs);
            all = Some(all.map_or_else(|| value.clone(), |all| all.join(&value)));
        }
        all.unwrap_or_else(Value::unknown)
    }

    /// The arms of a `switch` are comparisons too. The tree keeps no more than hashes of them.
    fn arms(&mut self, subject: &Value, switch: &(Expr, SwitchCasesCollection), position: Position) {
        let (expression, cases) = switch;
        if let Type::Object(name) = subject.kind {
            let has_values = !cases.cases.is_empty() || !cases.ranges.is_empty();
            return if has_values {
                self.no_arm(subject, name, expression)
            };
        }
        for arm in source::arms(&self.unit.file.text, position) {
            if self.another_kind_of_text(subject, &arm) {
                continue;
            }
            let literal = Value::text(&arm.text);
            let first = self.tested.count();
            self.tested.compared(subject, &literal, true, arm.at);
            let does = cases.expressions.get(arm.number).map(|case| Stmt::Expr(case.rhs.clone().into()));
            self.tested.branched(first, does.is_some_and(|does| flow::has_verdict(&[does])), false);
            self.equality(subject, &literal, arm.at);
        }
    }

    /// Elsewhere a character equals the text of it alone, and in a `switch` it does not.
    fn another_kind_of_text(&mut self, subject: &Value, arm: &source::Arm) -> bool {
        let (is, help) = match (subject.kind, arm.is_character) {
            (Type::Character, false) if arm.text.chars().count() == 1 => {
                ("a text", format!("a single character has single quotes: '{}'", arm.text))
            }
            (Type::Character, false) => ("a text", "a single character has single quotes".to_owned()),
            (Type::Text(_), true) => {
                ("a single character", format!("a text has double quotes: \"{}\"", arm.text))
            }
            (_, is_character) => return is_character,
        };
        let message =
            format!("{} is {}, and this arm is {is}: they are never equal", subject.name(), a(&subject.kind));
        self.error(arm.at, arm.text.chars().count() + 2, message, help);
        true
    }

    /// A `switch` compares no objects, not even addresses.
    fn no_arm(&mut self, subject: &Value, object: &str, expression: &Expr) {
        let message = format!("{} is {}, and no arm is ever equal to it", subject.name(), a(&subject.kind));
        let has_result = object_named(object).is_some_and(|object| object.property("result").is_some());
        let help = match (is_address(object), has_result) {
            (true, _) => format!("write `switch {}.address`", shown(subject)),
            (false, true) => format!("write `switch {}.result`", shown(subject)),
            (false, false) => "name one of its properties".to_owned(),
        };
        self.error(expression.start_position(), width(subject), message, help);
    }
}

/// The call whose value is that of the statement.
fn last_call(statement: &Stmt) -> Option<Position> {
    let Stmt::Expr(expression) = statement else { return None };
    let mut step = &**expression;
    while let Expr::Dot(pair, ..) = step {
        step = &pair.rhs;
    }
    if let Expr::MethodCall(_, position) = step { Some(*position) } else { None }
}

/// What is known of a place that has this value too.
fn joined(known: Option<Value>, value: Value) -> Value {
    match known {
        Some(known) => known.join(&value),
        None => value.spelled(""),
    }
}

/// The first step of what stands behind a dot.
fn step(rest: &Expr) -> &Expr {
    match rest {
        Expr::Dot(pair, ..) | Expr::Index(pair, ..) => &pair.lhs,
        step => step,
    }
}
