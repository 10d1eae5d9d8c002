//! Calls: of the script's own functions, of libraries, and of the host's.

use rhai::{Expr, FnCallExpr, Position};

use super::super::language::{self, Named, Type};
use super::super::load::{begins, suggest};
use super::arguments::{argument, conversion};
use super::asked::Given;
use super::compare::shown;
use super::expressions::{a, closure, width};
use super::host::Signature;
use super::value::{Value, fits};
use super::{Body, Walk, chain, flow};

/// What stands in the place of a function's name.
const CLOSURE: &str = "no text names a function: write what is done with each entry, `|entry| ...`";

impl Walk<'_> {
    /// `name(...)`, or an operator.
    pub(super) fn call(&mut self, call: &FnCallExpr, position: Position) -> Value {
        if call.is_operator_call() || call.name == "contains" && call.args.len() == 2 {
            return self.operator(call, position);
        }
        if closure(&Expr::FnCall(Box::new(call.clone()), position)).is_some() {
            return Value::unknown();
        }
        let values: Vec<_> = call.args.iter().map(|argument| self.handed(argument)).collect();
        let value = if !call.namespace.is_empty() {
            self.library_call(call.namespace.root(), call, &values, position)
        } else if self.unit.has(&call.name) {
            self.own_call(call, &values, position)
        } else {
            self.host_call(&call.name, &values, &call.args, position, false)
        };
        value.spelled(if call.args.len() < 2 { spelled(call) } else { format!("{}(...)", call.name) })
    }

    fn own_call(&mut self, call: &FnCallExpr, values: &[Value], position: Position) -> Value {
        let own = self.unit.named(&call.name);
        let lengths: Vec<_> = own.iter().map(|body| body.parameters.len()).collect();
        if !lengths.contains(&values.len()) {
            self.wrong_number(&call.name, &lengths, values.len(), position, &called_as(&own));
            return Value::unknown();
        }
        let name = (call.name.to_string(), values.len());
        self.hand_over(name.clone(), values);
        self.known.gives.get(&name).cloned().unwrap_or_else(Value::unknown)
    }

    /// A function of the script's own behind a dot: what stands in front of that is `this`, and none of its parameters.
    pub(super) fn own_method(
        &mut self,
        owner: &Value,
        call: &FnCallExpr,
        arguments: &[Value],
        position: Position,
    ) -> Value {
        let own = self.unit.named(&call.name);
        let lengths: Vec<_> = own.iter().map(|body| body.parameters.len()).collect();
        if !lengths.contains(&arguments.len()) {
            let help = if lengths.contains(&(arguments.len() + 1)) {
                let rest = if arguments.is_empty() { "" } else { ", ..." };
                let name = &call.name;
                format!(
                    "what stands in front of the dot is no argument: write `{name}({}{rest})`",
                    shown(owner)
                )
            } else {
                called_as(&own)
            };
            self.wrong_number(&call.name, &lengths, arguments.len(), position, &help);
            return Value::unknown();
        }
        let name = (call.name.to_string(), arguments.len());
        self.hand_over(name.clone(), arguments);
        self.known.gives.get(&name).cloned().unwrap_or_else(Value::unknown)
    }

    fn library_call(
        &mut self,
        library: &str,
        call: &FnCallExpr,
        values: &[Value],
        position: Position,
    ) -> Value {
        let Some((_, unit, learnt)) = self.libraries.units.iter().find(|(name, ..)| name == library) else {
            return Value::unknown();
        };
        let own: Vec<_> = unit.functions.iter().filter(|body| body.name == call.name).collect();
        let (hidden, own): (Vec<_>, Vec<_>) = own.into_iter().partition(|body| body.is_private);
        if own.is_empty() && !hidden.is_empty() {
            let message = format!("`{}` is private in the library `{library}`", call.name);
            self.error(position, call.name.chars().count(), message, "take `private` away from it there");
            return Value::unknown();
        }
        if own.is_empty() {
            let message = format!("the library `{library}` has no function `{}`", call.name);
            let problem = self.unit.file.error(position, call.name.chars().count(), message);
            let names = unit.functions.iter().filter(|body| !body.is_private).map(|body| body.name.as_str());
            let names = names.filter(|name| !name.contains('$'));
            let problem = suggest(problem, &call.name, names);
            self.problems.push(problem);
            return Value::unknown();
        }
        let lengths: Vec<_> = own.iter().map(|body| body.parameters.len()).collect();
        if !lengths.contains(&values.len()) {
            let name = format!("{library}::{}", call.name);
            self.wrong_number(&name, &lengths, values.len(), position, &called_as(&own));
            return Value::unknown();
        }
        let name = (call.name.to_string(), values.len());
        let handed = self.handed.entry(library.to_owned()).or_default();
        handed.called(name.clone(), values, &self.minded);
        learnt.gives.get(&name).cloned().unwrap_or_else(Value::unknown)
    }

    fn wrong_number(&mut self, name: &str, wanted: &[usize], given: usize, position: Position, help: &str) {
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        let what = if wanted == ["1"] { "argument" } else { "arguments" };
        let message = format!("`{name}` takes {} {what}, and here it gets {given}", wanted.join(" or "));
        let shown = name.rsplit("::").next().unwrap_or(name).chars().count();
        self.error(position, shown, message, help);
    }

    /// A function of the host's; in method style the first value stands in front of the dot and is not among `arguments`.
    pub(super) fn host_call(
        &mut self,
        name: &str,
        values: &[Value],
        arguments: &[Expr],
        position: Position,
        is_method: bool,
    ) -> Value {
        let host = self.host;
        let all = host.signatures(name);
        // Whether there is such a function, and how verdicts are called, is checked elsewhere.
        let is_checked =
            language::find(name).is_some_and(|it| matches!(it.names, Some(Named::Rule | Named::Target)));
        if all.is_empty() || is_checked && is_method {
            return Value::unknown();
        }
        let of_length: Vec<_> =
            all.iter().filter(|signature| signature.parameters.len() == values.len()).collect();
        if of_length.is_empty() {
            if !is_checked {
                self.wrong_length(name, all, values, position, is_method);
            }
            return Value::unknown();
        }
        let fitting: Vec<_> =
            of_length.iter().copied().filter(|signature| misfit(signature, values).is_none()).collect();
        let Some(first) = fitting.first() else {
            self.wrong_type(name, &of_length, values, arguments, position, is_method);
            return Value::unknown();
        };
        self.asks_by_call(name, &fitting, values);
        self.fitted(first, values, arguments, position, is_method);
        self.parts_of_texts(name, values, arguments, position);
        self.spoken(name, values, arguments);
        self.swapped(name, values, arguments, position);
        if chain::is_setting(name) {
            return chain::setting(self, values.last().and_then(Value::literal_text));
        }
        let gives = fitting
            .iter()
            .map(|signature| signature.gives)
            .reduce(|one, other| super::value::join(&one, &other));
        let mut value = Value::of(gives.unwrap_or(Type::Any));
        if let (Type::Object("List"), Some(list)) = (value.kind, values.last().and_then(Value::literal_text))
        {
            value.given = [Given::List(list.to_owned())].into();
        }
        value
    }

    fn wrong_length(
        &mut self,
        name: &str,
        all: &[Signature],
        values: &[Value],
        position: Position,
        is_method: bool,
    ) {
        let own = usize::from(is_method);
        let lengths: Vec<_> =
            all.iter().map(|signature| signature.parameters.len().saturating_sub(own)).collect();
        let named = all.iter().find(|signature| !signature.names.is_empty());
        let help = named.map(|signature| match name {
            "list" | "table" => format!("write `x in {name}(\"name\")`"),
            _ => format!("write `{name}({})`", signature.names.join(", ")),
        });
        self.wrong_number(name, &lengths, values.len() - own, position, &help.unwrap_or_default());
    }

    /// Tells of the first argument that fits nowhere.
    fn wrong_type(
        &mut self,
        name: &str,
        candidates: &[&Signature],
        values: &[Value],
        arguments: &[Expr],
        position: Position,
        is_method: bool,
    ) {
        let misfits =
            candidates.iter().filter_map(|signature| Some((misfit(signature, values)?, *signature)));
        let is_closure = |index, signature: &Signature| signature.closure == Some(index);
        if misfits.clone().all(|(index, _)| is_told_elsewhere(name, index, values.len())) {
            return;
        }
        let nearest = misfits.max_by_key(|(index, signature)| (*index, is_closure(*index, signature)));
        let Some((index, nearest)) = nearest else { return };
        let Some(value) = values.get(index) else { return };
        if let (Type::Closure, Some(argument)) = (value.kind, argument(arguments, index, is_method)) {
            return self.uncalled(&value.spelled, argument.start_position());
        }
        if is_method && index == 0 {
            return self.wrong_owner(name, nearest, value, position);
        }
        let wanted = nearest.parameters.get(index).copied().flatten();
        let what = match wanted {
            Some(wanted) => a(&wanted),
            None if is_closure(index, nearest) => "a closure".to_owned(),
            None => "something else".to_owned(),
        };
        let at = argument(arguments, index, is_method).map_or(position, begins);
        let message = format!("`{name}` takes {what} here, and {} is {}", value.name(), a(&value.kind));
        let help = match wanted {
            Some(_) if flow::is_verdict(name) => String::new(),
            Some(wanted) => conversion(value, &wanted),
            None if is_closure(index, nearest) => CLOSURE.to_owned(),
            None => String::new(),
        };
        let help = if help.is_empty() && !nearest.names.is_empty() {
            format!("it is called as `{name}({})`", nearest.names.join(", "))
        } else {
            help
        };
        self.error(at, width(value), message, help);
    }

    /// What stands in front of the dot has no such method.
    fn wrong_owner(&mut self, name: &str, nearest: &Signature, value: &Value, position: Position) {
        let message = format!("{} is {}, which has no `{name}`", value.name(), a(&value.kind));
        let of = nearest.parameters.first().copied().flatten();
        let help = match (value.kind, of) {
            (Type::Object("List"), _) => {
                "a list is a set, asked with `in`: `x in list(...)`; a table has keys with values".to_owned()
            }
            (_, Some(of)) => format!("`{name}` belongs to {}", a(&of)),
            (_, None) => String::new(),
        };
        self.error(position, name.chars().count(), message, help);
    }
}

/// Whether the argument with this index is looked at where all that must be written out is: a rule, a code.
fn is_told_elsewhere(name: &str, index: usize, arguments: usize) -> bool {
    let names_rule = language::find(name).is_some_and(|word| word.names == Some(Named::Rule));
    names_rule && (index == 0 || flow::is_verdict(name) && index + 1 < arguments)
}

/// The first argument that does not fit, by its index.
fn misfit(signature: &Signature, values: &[Value]) -> Option<usize> {
    let pairs = signature.parameters.iter().zip(values).enumerate();
    let mut misfits = pairs.filter(|(index, (wanted, value))| match (wanted, value.kind) {
        (_, Type::Closure) => signature.closure != Some(*index),
        (Some(wanted), kind) => !fits(wanted, &kind),
        (None, kind) => kind != Type::Any,
    });
    misfits.next().map(|(index, _)| index)
}

/// How a function of a script is called.
fn called_as(own: &[&Body]) -> String {
    let first = own.first();
    first
        .map(|body| format!("it is called as `{}({})`", body.name, body.parameters.join(", ")))
        .unwrap_or_default()
}

fn spelled(call: &FnCallExpr) -> String {
    let argument = match call.args.first() {
        None => String::new(),
        Some(Expr::StringConstant(text, _)) => format!("\"{text}\""),
        Some(_) => "...".to_owned(),
    };
    format!("{}({argument})", call.name)
}
