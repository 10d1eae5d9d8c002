//! What stands behind a dot or between brackets.

use rhai::{ASTFlags, Expr, FnCallExpr, Position};

use super::super::language::{self, Object, Type, object_named};
use super::super::load::{Role, begins, of_word, suggest};
use super::asked::Given;
use super::compare::shown;
use super::expressions::{a, absent_help};
use super::host::{self, Signature};
use super::inside::About;
use super::named::IN_VARIABLE;
use super::value::Value;
use super::{OWN_RECIPIENT, Walk, emptiness, flow, source};

impl Walk<'_> {
    /// `owner.rest`; the rest may be a chain itself.
    pub(super) fn dot(&mut self, owner: Value, rest: &Expr, flags: ASTFlags) -> Value {
        if flags.contains(ASTFlags::NEGATED) && matches!(owner.kind, Type::Object(_)) {
            let message = format!("{} is never absent", owner.name());
            self.warning(
                begins(rest),
                1,
                message,
                format!("write `.` for `?.`; {}", absent_help(&owner.kind)),
            );
        }
        match rest {
            Expr::Property(property, position) => self.property(&owner, &property.2, *position),
            Expr::MethodCall(call, position) => self.method(&owner, call, *position),
            Expr::Dot(pair, inner, _) => {
                let owner = self.dot(owner, &pair.lhs, ASTFlags::empty());
                self.dot(owner, &pair.rhs, *inner)
            }
            Expr::Index(pair, inner, _) => {
                let owner = self.dot(owner, &pair.lhs, ASTFlags::empty());
                self.index(&owner, &pair.rhs, *inner)
            }
            _ => Value::unknown(),
        }
    }

    /// `owner[rest]`; where the chain goes on, the index is its beginning.
    pub(super) fn index(&mut self, owner: &Value, rest: &Expr, flags: ASTFlags) -> Value {
        let index = match rest {
            Expr::Dot(pair, ..) | Expr::Index(pair, ..) if !flags.contains(ASTFlags::BREAK) => &pair.lhs,
            whole => whole,
        };
        let key = self.expression(index);
        self.index_into(owner, &key, index);
        self.no_entries(owner, index);
        self.among_keys(owner, &key, begins(index));
        let entry = match (owner.kind, key.literal_text()) {
            // An index that is no number is a range.
            (Type::Text(_), _) if key.kind != Type::Integer => Value::unknown(),
            (_, Some(key)) => owner.under(key).cloned().unwrap_or_else(|| owner.entry()),
            _ => owner.entry(),
        };
        let entry = entry.spelled(spelled(owner, "[...]"));
        match rest {
            _ if flags.contains(ASTFlags::BREAK) => entry,
            Expr::Dot(pair, inner, _) => self.dot(entry, &pair.rhs, *inner),
            Expr::Index(pair, inner, _) => self.index(&entry, &pair.rhs, *inner),
            _ => entry,
        }
    }

    /// What has neither entries nor keys.
    fn no_entries(&mut self, owner: &Value, index: &Expr) {
        let help = match owner.kind {
            Type::Object("List") => "a list is a set, asked with `in`: `x in list(...)`".to_owned(),
            Type::Object("Table") => {
                "the values of a key are `.get(key)`, the first one, and `.get_all(key)`".to_owned()
            }
            Type::Object(object) => match index {
                Expr::StringConstant(key, _) if has_property(object, key) => {
                    format!("write `{}.{key}`", owner.spelled)
                }
                _ => "what belongs to an object stands behind a dot".to_owned(),
            },
            Type::Bool | Type::Float | Type::Nothing => {
                "an index belongs to an array, a map or a text".to_owned()
            }
            _ => return,
        };
        let message = format!("{} is {}, and has no entries", owner.name(), a(&owner.kind));
        self.error(begins(index), 1, message, help);
    }

    fn property(&mut self, owner: &Value, name: &str, position: Position) -> Value {
        if name == "len" || name == "is_empty" {
            self.minds_emptiness(owner);
            self.asks_for_empty(owner);
        }
        let found = match owner.kind {
            Type::Any | Type::OneOf(_) => return Value::unknown(),
            Type::Map(_) => {
                self.key(owner, name, name.chars().count(), position);
                let value = owner.under(name).cloned().unwrap_or_else(Value::unknown);
                return value.spelled(spelled(owner, &format!(".{name}")));
            }
            Type::Object(object) => {
                object_named(object).and_then(|object| self.object_property(object, name, position))
            }
            kind => self.host.own_property(&kind, name).map(Value::of),
        };
        let Some(mut value) = found else {
            self.no_property(owner, name, position);
            return Value::unknown();
        };
        value.origin = match (value.kind, value.source) {
            (Type::Object(_), Some((_, property))) => Some(property),
            _ => owner.origin,
        };
        value.spelled(spelled(owner, &format!(".{name}")))
    }

    fn object_property(&mut self, object: &'static Object, name: &str, position: Position) -> Option<Value> {
        let property = object.property(name)?;
        if property.is_fact && self.unit.role == Role::Library {
            let message = format!("`{name}` asks the world outside, and a library does not");
            let help = "read it in the policy, and hand over the value";
            self.error(position, name.chars().count(), message, help);
        }
        self.minds_by_property((object.name, property.name));
        let mut value = Value::of(property.kind);
        value.source = Some((object.name, property.name));
        value.about = About::of_property((object.name, property.name));
        Some(value)
    }

    fn no_property(&mut self, owner: &Value, name: &str, position: Position) {
        let len = name.chars().count();
        let message = format!("{} has no property `{name}`", capital(owner));
        if self.host.signatures(name).iter().any(|signature| takes(signature, owner)) {
            let help = format!("`{name}` is a function: write `.{name}(...)`");
            return self.error(position, len, message, help);
        }
        let problem = self.unit.file.error(position, len, message);
        let problem = match owner.kind {
            Type::Object(object) => match object_named(object) {
                Some(object) => match self.dashed(name, position, object) {
                    Some(whole) => problem.with_help(format!("did you mean `{whole}`? A name has no `-`")),
                    None => with_names(problem, name, object, &owner.spelled),
                },
                None => problem,
            },
            Type::Closure => problem.with_help(IN_VARIABLE),
            Type::Array(Type::Object(entry)) if has_property(entry, name) => problem.with_help(format!(
                "it is an array: walk it with `for`, or ask `{}.some(|one| one.{name} == ...)`",
                owner.spelled
            )),
            kind => suggest(problem, name, self.host.own_properties(&kind)),
        };
        self.push(match of_word(name) {
            Some(help) if problem.help.is_none() => problem.with_help(help),
            _ => problem,
        });
    }

    /// The property that `name-word` was meant to be.
    fn dashed(&self, name: &str, position: Position, object: &Object) -> Option<String> {
        let word = source::behind_dash(&self.unit.file.text, position, name)?;
        let whole = format!("{name}_{word}");
        object.property(&whole).is_some().then_some(whole)
    }

    /// `owner.name(...)`.
    fn method(&mut self, owner: &Value, call: &FnCallExpr, position: Position) -> Value {
        let arguments = self.method_arguments(owner, call);
        if self.unit.has(&call.name) {
            return self.own_method(owner, call, &arguments, position);
        }
        if self.changes_a_copy(owner, call, position) {
            return Value::unknown();
        }
        self.all_of_nothing(owner, &call.name, position);
        if call.name == "noted" {
            self.noted_too_early(owner, position);
        }
        self.minds_by_call(owner, &call.name);
        let at = call.args.first().map_or(position, begins);
        if let ("contains" | "index_of", [found, ..]) = (call.name.as_str(), arguments.as_slice()) {
            self.among(found, owner, at, at);
        }
        if let ("contains" | "get" | "remove", [key]) = (call.name.as_str(), arguments.as_slice()) {
            self.among_keys(owner, key, at);
        }
        let this_first: Vec<_> = std::iter::once(owner.clone()).chain(arguments).collect();
        if let (Type::Object(object), false) = (owner.kind, self.host.has(&call.name))
            && has_property(object, &call.name)
        {
            // Where functions are looked up, it is told.
            return Value::unknown();
        }
        let mut value = self.host_call(&call.name, &this_first, &call.args, position, true);
        if let (Type::Array(_), Type::Array(_), "filter") = (owner.kind, value.kind, call.name.as_str()) {
            value = Value { given: owner.given_entries(), ..Value::of(owner.kind) };
        }
        if matches!(owner.kind, Type::Text(_)) && call.name == "to_chars" {
            value = Value::of(Type::Array(&Type::Character));
        }
        value.source = match (owner.kind, value.kind) {
            (Type::Object(object), Type::Array(_)) | (Type::Object(object @ "Message"), Type::Text(_)) => {
                method_of(object, &call.name)
            }
            (Type::Text(_), _) => emptiness::split(owner, call),
            _ => None,
        };
        if call.name == "is_empty" {
            value.about = About::of_emptiness(owner);
        }
        let brackets = if call.args.is_empty() { "()" } else { "(...)" };
        value.spelled(spelled(owner, &format!(".{}{brackets}", call.name)))
    }

    /// What hangs on an object, or belongs to the operator, is handed out anew each time. Gives whether this is nothing but a
    /// mistake.
    fn changes_a_copy(&mut self, owner: &Value, call: &FnCallExpr, position: Position) -> bool {
        let name = call.name.as_str();
        let is_operators = owner.given.iter().any(|given| matches!(given, Given::Setting(_)));
        let is_copy = owner.source.is_some() || is_operators;
        let is_changeable = matches!(owner.kind, Type::Array(_) | Type::Text(_) | Type::Map(_));
        if !is_copy || !is_changeable || !flow::CHANGING.contains(&name) {
            return false;
        }
        let message = format!("`{name}` changes a copy of {} here, and nothing keeps it", owner.name());
        let help = match (owner.source, name) {
            (Some(("Mail", "recipients")), "push" | "append" | "insert") => {
                "write `mail.add_recipient(address)`".to_owned()
            }
            (Some(("Mail", "recipients")), name) if name != "sort" => {
                "write `mail.remove_recipient(rcpt)` for each that shall not get the message".to_owned()
            }
            _ => {
                let own = if matches!(owner.kind, Type::Text(_)) { "text" } else { "own" };
                let brackets = if call.args.is_empty() { "()" } else { "(...)" };
                format!(
                    "change a variable of your own: `let {own} = {}; {own}.{name}{brackets};`",
                    shown(owner)
                )
            }
        };
        let len = name.chars().count();
        if flow::TAKING.contains(&name) && self.dropped != Some(position) {
            if !emptiness::is_split(owner) {
                self.warning(position, len, message, help);
            }
            return false;
        }
        self.error(position, len, message, help);
        true
    }

    /// Notes of a recipient are there once it is accepted.
    fn noted_too_early(&mut self, owner: &Value, position: Position) {
        if (owner.kind, owner.origin) == (Type::Object("Rcpt"), Some(OWN_RECIPIENT)) {
            let message = format!(
                "{} is not accepted yet, and has no notes of its own: this is always \"\"",
                owner.name()
            );
            self.error(
                position,
                5,
                message,
                "what was noted so far is there with `noted(...)`, without a recipient",
            );
        }
    }
}

/// The object and its method, as the source of what that gives.
fn method_of(object: &'static str, name: &str) -> Option<(&'static str, &'static str)> {
    let mut methods = language::functions().filter(|method| method.receiver == Some(object));
    methods.find(|method| method.name == name).map(|method| (object, method.name))
}

/// Whether the value can stand in front of the function.
fn takes(signature: &Signature, owner: &Value) -> bool {
    let first = signature.parameters.first().copied().flatten();
    first.is_some_and(|wanted| wanted != Type::Any && super::value::fits(&wanted, &owner.kind))
}

/// The problem with the nearest property, or with all of them where there are few.
fn with_names(
    problem: crate::diagnostic::Diagnostic,
    name: &str,
    object: &Object,
    owner: &str,
) -> crate::diagnostic::Diagnostic {
    let problem = suggest(problem, name, host::properties(object));
    if problem.help.is_some() {
        return problem;
    }
    if let Some(path) = elsewhere(name, object) {
        return problem.with_help(format!("did you mean `{path}`?"));
    }
    if let Some(own) = other_word(object.name, name) {
        return problem.with_help(format!("did you mean `{own}`?"));
    }
    let of_another = of_another(name, object);
    if let Some(path) =
        of_another.filter(|path| path.split_once('.').is_some_and(|(first, _)| first != owner))
    {
        return problem.with_help(format!("it is `{path}`"));
    }
    let names: Vec<_> = host::properties(object).collect();
    problem.with_help(format!("it has {}", names.join(", ")))
}

/// Where a property of this name is, one step further down: `client.ip` for `session.ip`.
fn elsewhere(name: &str, object: &Object) -> Option<String> {
    let below = object.properties.iter().filter_map(|property| match property.kind {
        Type::Object(below) => Some((property.name, object_named(below)?)),
        _ => None,
    });
    let mut found = below.filter(|(_, below)| below.property(name).is_some());
    found.next().map(|(step, _)| format!("{step}.{name}"))
}

/// What a property is called here that has another name in most people's heads.
fn other_word(object: &str, name: &str) -> Option<&'static str> {
    Some(match (object, name) {
        ("Mail", "from" | "return_path" | "envelope_from") => "sender",
        ("Mail", "to" | "rcpts" | "envelope_to") => "recipients",
        ("Message", "sender" | "author") => "from",
        ("Message", "body" | "text" | "content") => "parts",
        ("Client", "address" | "addr" | "ip_address") => "ip",
        ("Client", "host" | "hostname" | "rdns" | "ptr") => "name",
        ("Auth", "username" | "login" | "name" | "id") => "user",
        ("Address" | "Rcpt", "local" | "user" | "localpart" | "mailbox") => "local_part",
        ("Address" | "Rcpt", "host" | "hostname") => "domain",
        ("Address", "name") => "display",
        (_, "status" | "value") => "result",
        _ => return None,
    })
    .filter(|own| object_named(object).is_some_and(|object| object.property(own).is_some()))
}

/// Where a property of this name is on another one of the stages' own objects.
fn of_another(name: &str, object: &Object) -> Option<String> {
    let parameters = [("session", "Session"), ("mail", "Mail"), ("rcpt", "Rcpt"), ("message", "Message")];
    let mut others = parameters.into_iter().filter(|(_, other)| *other != object.name);
    let is_own = parameters.iter().any(|(_, own)| *own == object.name);
    let has =
        |(_, other): &(&str, &str)| object_named(other).is_some_and(|other| other.property(name).is_some());
    others.find(has).filter(|_| is_own).map(|(parameter, _)| format!("{parameter}.{name}"))
}

fn capital(owner: &Value) -> String {
    if owner.spelled.is_empty() || owner.spelled.len() > 40 {
        a(&owner.kind)
    } else {
        format!("`{}`", owner.spelled)
    }
}

pub(super) fn has_property(object: &str, name: &str) -> bool {
    object_named(object).is_some_and(|object| object.property(name).is_some())
}

/// The spelling of something that hangs on `owner`.
fn spelled(owner: &Value, behind: &str) -> String {
    if owner.spelled.is_empty() { String::new() } else { format!("{}{behind}", owner.spelled) }
}

/// The type of `setting("name")`, out of its default.
pub(super) fn setting(walk: &Walk<'_>, name: Option<&str>) -> Value {
    let Some((name, kind)) = name.and_then(|name| walk.unit.settings.get_key_value(name)) else {
        return Value::unknown();
    };
    let given = Given::Setting((walk.unit.name.clone(), name.clone()));
    Value { given: [given].into(), ..Value::of(*kind) }
}

/// Whether the function reads a setting.
pub(super) fn is_setting(name: &str) -> bool {
    language::find(name).is_some_and(|function| function.names == Some(language::Named::Setting))
}
