//! `setting`, `list`, `noted`, `total_score`: what belongs to the policy or was left by another one.

use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::judgement::Read;
use super::super::lists::{EntrySet, Table};
use super::super::memory::NoteValue;
use super::super::turn::{Turn, fault};
use super::addresses::Address;
use super::mail::Rcpt;

/// What `list("name")` gives: something to ask with `in`.
#[derive(Clone, Debug)]
struct List(Arc<EntrySet>, ImmutableString);

/// What `table("name")` gives: something to ask with `get` and `get_all`.
#[derive(Clone, Debug)]
struct Mapping(Arc<Table>, ImmutableString);

impl Mapping {
    /// The first value of `key`; empty when it is not there.
    fn first(&self, call: &NativeCallContext<'_>, key: &str) -> Result<ImmutableString, Box<EvalAltResult>> {
        let value = self.0.values(key).next().unwrap_or_default();
        self.tell(call, key, value.to_owned())?;
        Ok(value.into())
    }

    fn all(&self, call: &NativeCallContext<'_>, key: &str) -> Result<Array, Box<EvalAltResult>> {
        let values: Vec<_> = self.0.values(key).collect();
        self.tell(call, key, values.join(", "))?;
        Ok(values.into_iter().map(|value| Dynamic::from(ImmutableString::from(value))).collect())
    }

    fn contains(&self, call: &NativeCallContext<'_>, key: &str) -> Result<bool, Box<EvalAltResult>> {
        let found = self.0.contains(key);
        self.tell(call, key, yes_or_no(found).to_owned())?;
        Ok(found)
    }

    /// Notes down what was looked for, and what the table said.
    fn tell(&self, call: &NativeCallContext<'_>, key: &str, said: String) -> Result<(), Box<EvalAltResult>> {
        let read = Read { what: ["table ", &self.1, ": ", key].concat(), value: said };
        Turn::of(call)?.state().draft.read(Arc::new(read));
        Ok(())
    }
}

const fn yes_or_no(found: bool) -> &'static str {
    if found { "yes" } else { "no" }
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
    engine.register_fn("contains", |call: NativeCallContext<'_>, list: &mut List, text: ImmutableString| {
        contains(&call, list, &text)
    });
    engine.register_fn("contains", |call: NativeCallContext<'_>, list: &mut List, address: Address| {
        contains(&call, list, address.address())
    });
    engine.register_fn("contains", |call: NativeCallContext<'_>, list: &mut List, rcpt: Rcpt| {
        contains(&call, list, rcpt.0.address.address())
    });
    register_tables(engine);
}

/// A table is asked with a text, an address or a recipient.
fn register_tables(engine: &mut Engine) {
    engine.register_type_with_name::<Mapping>("Table");
    engine.register_fn("table", |call: NativeCallContext<'_>, name: ImmutableString| table(&call, &name));
    for_keys(engine, "get", Mapping::first);
    for_keys(engine, "get_all", Mapping::all);
    for_keys(engine, "contains", Mapping::contains);
}

/// One question to a table, for each kind of key.
fn for_keys<T: rhai::Variant + Clone>(
    engine: &mut Engine,
    word: &str,
    ask: fn(&Mapping, &NativeCallContext<'_>, &str) -> Result<T, Box<EvalAltResult>>,
) {
    engine
        .register_fn(word, move |call: NativeCallContext<'_>, table: &mut Mapping, key: ImmutableString| {
            ask(table, &call, &key)
        });
    engine.register_fn(word, move |call: NativeCallContext<'_>, table: &mut Mapping, key: Address| {
        ask(table, &call, key.address())
    });
    engine.register_fn(word, move |call: NativeCallContext<'_>, table: &mut Mapping, key: Rcpt| {
        ask(table, &call, key.0.address.address())
    });
}

fn setting(call: &NativeCallContext<'_>, name: &str) -> Result<Dynamic, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    let value = turn.policy().and_then(|policy| {
        let setting = policy.settings.get(name)?;
        turn.state().draft.read(Arc::clone(&setting.read));
        Some(setting.value.clone())
    });
    value.ok_or_else(|| fault(call, format!("no setting `{name}` is declared")))
}

/// The value that the recipient's domain wishes, else the policy's.
fn setting_of(call: &NativeCallContext<'_>, rcpt: &Rcpt, name: &str) -> Result<Dynamic, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    let domains = &turn.0.policies.domains;
    let domain = rcpt.0.address.domain();
    let own = turn.policy().and_then(|policy| {
        let value = domains.setting(domain, &policy.name, name)?;
        let what = format!("setting {}.{name} of {domain}", policy.name);
        turn.state().draft.read(Arc::new(Read { what, value: value.to_string() }));
        Some(value.clone())
    });
    own.map_or_else(|| setting(call, name), Ok)
}

fn list(call: &NativeCallContext<'_>, name: &str) -> Result<List, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    let set = turn.0.policies.list(name).cloned();
    set.map(|set| List(set, name.into()))
        .ok_or_else(|| fault(call, format!("no list `{name}` is configured")))
}

fn contains(call: &NativeCallContext<'_>, list: &List, text: &str) -> Result<bool, Box<EvalAltResult>> {
    let found = list.0.contains(text);
    let read = Read { what: ["list ", &list.1, ": ", text].concat(), value: yes_or_no(found).to_owned() };
    Turn::of(call)?.state().draft.read(Arc::new(read));
    Ok(found)
}

fn table(call: &NativeCallContext<'_>, name: &str) -> Result<Mapping, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    let table = turn.0.policies.table(name).cloned();
    table
        .map(|table| Mapping(table, name.into()))
        .ok_or_else(|| fault(call, format!("no table `{name}` is configured")))
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
