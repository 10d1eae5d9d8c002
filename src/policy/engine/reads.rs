//! `setting`, `list`, `noted`, `total_score`: what belongs to the policy or was left by another one.

use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::lists::{EntrySet, Table};
use super::super::memory::NoteValue;
use super::super::turn::{Turn, fault};
use super::addresses::Address;
use super::mail::Rcpt;

/// What `list("name")` gives: something to ask with `in`.
#[derive(Clone, Debug)]
struct List(Arc<EntrySet>);

/// What `table("name")` gives: something to ask with `get` and `get_all`.
#[derive(Clone, Debug)]
struct Mapping(Arc<Table>);

impl Mapping {
    /// The first value of `key`; empty when it is not there.
    fn first(&self, key: &str) -> ImmutableString {
        self.0.values(key).next().unwrap_or_default().into()
    }

    fn all(&self, key: &str) -> Array {
        self.0.values(key).map(|value| Dynamic::from(ImmutableString::from(value))).collect()
    }
}

pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<List>("List");
    engine.register_fn("setting", |call: NativeCallContext<'_>, name: ImmutableString| setting(&call, &name));
    engine.register_fn("setting", |call: NativeCallContext<'_>, rcpt: &mut Rcpt, name: ImmutableString| {
        setting_of(&call, rcpt, &name)
    });
    engine.register_fn("list", |call: NativeCallContext<'_>, name: ImmutableString| list(&call, &name));
    engine.register_fn("noted", |call: NativeCallContext<'_>, key: ImmutableString| {
        Ok::<_, Box<EvalAltResult>>(note_or_empty(Turn::of(&call)?.noted(&key)))
    });
    engine.register_fn("noted", |call: NativeCallContext<'_>, rcpt: &mut Rcpt, key: ImmutableString| {
        noted_of(&call, rcpt, &key)
    });
    engine.register_fn("total_score", |call: NativeCallContext<'_>| {
        Ok::<_, Box<EvalAltResult>>(Turn::of(&call)?.total_score())
    });
    engine.register_fn("contains", |list: &mut List, text: ImmutableString| list.0.contains(&text));
    engine.register_fn("contains", |list: &mut List, address: Address| list.0.contains(address.address()));
    engine.register_fn("contains", |list: &mut List, rcpt: Rcpt| list.0.contains(rcpt.0.address.address()));
    register_tables(engine);
}

/// A table is asked with a text, an address or a recipient.
fn register_tables(engine: &mut Engine) {
    engine.register_type_with_name::<Mapping>("Table");
    engine.register_fn("table", |call: NativeCallContext<'_>, name: ImmutableString| table(&call, &name));
    engine.register_fn("get", |table: &mut Mapping, key: ImmutableString| table.first(&key));
    engine.register_fn("get", |table: &mut Mapping, key: Address| table.first(key.address()));
    engine.register_fn("get", |table: &mut Mapping, key: Rcpt| table.first(key.0.address.address()));
    engine.register_fn("get_all", |table: &mut Mapping, key: ImmutableString| table.all(&key));
    engine.register_fn("get_all", |table: &mut Mapping, key: Address| table.all(key.address()));
    engine.register_fn("get_all", |table: &mut Mapping, key: Rcpt| table.all(key.0.address.address()));
    engine.register_fn("contains", |table: &mut Mapping, key: ImmutableString| table.0.contains(&key));
    engine.register_fn("contains", |table: &mut Mapping, key: Address| table.0.contains(key.address()));
    engine
        .register_fn("contains", |table: &mut Mapping, key: Rcpt| table.0.contains(key.0.address.address()));
}

fn setting(call: &NativeCallContext<'_>, name: &str) -> Result<Dynamic, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    let value = turn.policy().and_then(|policy| policy.settings.get(name).cloned());
    value.ok_or_else(|| fault(call, format!("no setting `{name}` is declared")))
}

/// The value that the recipient's domain wishes, else the policy's.
fn setting_of(call: &NativeCallContext<'_>, rcpt: &Rcpt, name: &str) -> Result<Dynamic, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    let domains = &turn.0.policies.domains;
    let own = turn.policy().and_then(|policy| domains.setting(rcpt.0.address.domain(), &policy.name, name));
    own.map_or_else(|| setting(call, name), |value| Ok(value.clone()))
}

fn list(call: &NativeCallContext<'_>, name: &str) -> Result<List, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    let set = turn.0.policies.list(name).cloned();
    set.map(List).ok_or_else(|| fault(call, format!("no list `{name}` is configured")))
}

fn table(call: &NativeCallContext<'_>, name: &str) -> Result<Mapping, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    let table = turn.0.policies.table(name).cloned();
    table.map(Mapping).ok_or_else(|| fault(call, format!("no table `{name}` is configured")))
}

/// A note that was left at `rcpt` for this recipient.
fn noted_of(call: &NativeCallContext<'_>, rcpt: &Rcpt, key: &str) -> Result<Dynamic, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    let sees_shadow = turn.sees_shadow();
    let scope = turn.0.kept.recipient(rcpt.0.address.address());
    Ok(note_or_empty(scope.and_then(|scope| scope.note(key, sees_shadow)).cloned()))
}

fn note_or_empty(value: Option<NoteValue>) -> Dynamic {
    match value {
        Some(NoteValue::Text(text)) => text.into(),
        Some(NoteValue::Integer(number)) => number.into(),
        Some(NoteValue::Float(number)) => number.into(),
        Some(NoteValue::Bool(truth)) => truth.into(),
        None => Dynamic::from(ImmutableString::new()),
    }
}
