//! Whether something is among the entries of something: `in`, `contains`, `index_of`.

use rhai::{Expr, Position};

use super::super::language::{Form, TEXT, Type};
use super::super::load::begins;
use super::chain::has_property;
use super::compare::{shown, way_out};
use super::expressions::{a, width};
use super::value::{Value, comparable, fits, is_address, main_property};
use super::{Walk, forms};

impl Walk<'_> {
    /// `item in all`.
    pub(super) fn membership(&mut self, item: &Expr, all: &Expr, position: Position) {
        let (found, container) = (self.expression(item), self.expression(all));
        if let Expr::FnCall(call, at) = item
            && call.is_operator_call()
            && call.name == "!"
        {
            let message = "this asks whether `!x` is in it, and not whether x is missing".to_owned();
            return self.error(*at, 1, message, "write `x !in ...`");
        }
        if let Expr::Array(entries, _) = all {
            return self.member_of(&found, entries);
        }
        let at = begins(all);
        self.minds_emptiness(&container);
        let literal = if found.literal.is_some() { begins(item) } else { at };
        self.among(&found, &container, begins(item), literal);
        self.among_keys(&container, &found, begins(item));
        self.minds_by_call(&container, "contains");
        match container.kind {
            Type::Text(_) if is_looked_for(&found) => {}
            Type::Text(_) => {
                let message = format!("{} is a text: this looks for a part of it", container.name());
                let help = way_into(&found, &container);
                self.error(at, width(&container), message, help);
            }
            Type::Object("List") => {
                self.in_list(&found, item, position);
                self.asks_list(&found, &container, item, position);
            }
            // Whether the key is there.
            Type::Object("Table") => {}
            Type::Bool
            | Type::Integer
            | Type::Float
            | Type::Nothing
            | Type::Character
            | Type::Object(_)
            | Type::Closure => {
                let message = format!("{} is {}, and nothing is in it", container.name(), a(&container.kind));
                self.error(at, width(&container), message, "behind `in` stands an array, a map or a list");
            }
            _ => {}
        }
    }

    /// Asks whether one of the entries of `container` is it, which is a comparison with each that is known. `item` is where it
    /// stands, `literal` where what is written out does.
    pub(super) fn among(&mut self, found: &Value, container: &Value, item: Position, literal: Position) {
        let Type::Array(kind) = container.kind else { return };
        if !is_one(&found.kind, kind) {
            let is = forms::noun(&found.kind).map_or_else(|| a(&found.kind), str::to_owned);
            let message =
                format!("{} is {is}, and the entries of {} are none", found.name(), container.name());
            return self.error(item, width(found), message, for_entries(found, container));
        }
        let entry = container.entry().spelled(format!("{}[...]", container.spelled));
        if container.literal.is_none() {
            self.equality(&entry, found, literal);
        }
        for text in container.literal_texts() {
            let text = Value::text(text);
            self.tested.compared(found, &text, true, literal);
            self.equality(found, &text, literal);
        }
    }

    /// Each entry is a comparison.
    fn member_of(&mut self, found: &Value, entries: &[Expr]) {
        for entry in entries {
            let value = self.expression(entry);
            self.tested.compared(found, &value, true, begins(entry));
            self.equality(found, &value, begins(entry));
        }
    }

    fn in_list(&mut self, found: &Value, item: &Expr, position: Position) {
        let signatures = self.host.signatures("contains").iter();
        let mut of_lists = signatures.filter(|it| it.parameters.first() == Some(&Some(Type::Object("List"))));
        let takes = |wanted: &Option<Type>| wanted.is_some_and(|wanted| fits(&wanted, &found.kind));
        if of_lists.all(|signature| !signature.parameters.get(1).is_some_and(takes)) {
            let message = format!(
                "{} is {}, and a list has addresses, domains and networks",
                found.name(),
                a(&found.kind)
            );
            let at = if begins(item).is_none() { position } else { begins(item) };
            self.error(at, width(found), message, way_out(found, &Value::of(TEXT)));
        }
    }
}

/// Whether a value of the type can be one of such entries.
pub(super) fn is_one(found: &Type, entry: &Type) -> bool {
    *found == Type::Closure || comparable(entry, found) && !forms::are_apart(entry, found)
}

/// Whether it can be nothing but a part of a text: a single character, or signs alone, such as `"@"`.
fn is_looked_for(found: &Value) -> bool {
    let is_signs = |text: &str| !text.is_empty() && !text.contains(char::is_alphanumeric);
    found.kind == Type::Character || found.literal_text().is_some_and(is_signs)
}

/// How to ask for entries that have it.
pub(super) fn for_entries(found: &Value, container: &Value) -> String {
    match container.kind {
        Type::Array(Type::Object(object)) if matches!(found.kind, Type::Text(_)) => {
            let object = *object;
            let property = match found.kind {
                Type::Text(Form::Domain) if has_property(object, "domain") => "domain",
                _ if is_address(object) => "domain",
                _ => main_property(object),
            };
            format!("ask `{}.some(|one| one.{property} == {})`", shown(container), shown(found))
        }
        Type::Array(entry) => way_out(found, &Value::of(*entry)),
        _ => String::new(),
    }
}

/// What is meant by `found in container` where that is a text.
fn way_into(found: &Value, container: &Value) -> String {
    let name = shown(container);
    let is_word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    match (container.kind, found.literal_text(), container.literal_text()) {
        (Type::Text(Form::Domain), Some(domain), _) => {
            format!("write `{name} == \"{domain}\"`, or `is_subdomain({name}, \"{domain}\")`")
        }
        (_, None, Some(text)) if is_word(text) => {
            format!("a list is asked with `in list({name})`; else put an array there: `in [{name}]`")
        }
        _ => format!("ask for equality, put an array there: `in [...]`, or write `{name}.contains(...)`"),
    }
}
