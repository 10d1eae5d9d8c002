//! What orders something and ends nothing.

use super::{
    AT_MESSAGE, BEFORE_BODY, BEFORE_CLOSE, Form, Function, Named, Nature, Parameter, TEXT, Type, p, words,
};
use crate::policy::words::OVERRIDES;
use crate::session::stage::Stage;

const NAME: Parameter = p("name", TEXT);
/// What a note can be.
const NOTE: Type = Type::OneOf(&[TEXT, Type::Integer, Type::Float, Type::Bool]);
/// `skip` takes one to eight names.
const TARGETS: &[&[Parameter]] =
    &[&[NAME], &[NAME; 2], &[NAME; 3], &[NAME; 4], &[NAME; 5], &[NAME; 6], &[NAME; 7], &[NAME; 8]];

pub(super) const EFFECTS: &[Function] = &[
    effect(
        "skip",
        TARGETS,
        Some(Named::Target),
        BEFORE_CLOSE,
        "Those policies (`\"spf\"`) or rules (`\"helo.not-fqdn\"`) are not asked: from `connect` on for the session, from `helo` \
         until the next HELO, from `rcpt` for this recipient only, else for the transaction. Gates cannot be skipped.",
    ),
    effect(
        "note",
        &[&[p("key", TEXT), p("value", NOTE)]],
        None,
        BEFORE_CLOSE,
        "Remembered as long as a skip would hold; read with `noted(\"policy.key\")`.",
    ),
    effect(
        "tag",
        &[&[NAME, p("value", TEXT)]],
        None,
        BEFORE_CLOSE,
        "`X-Gatepost-Tag: name=value` on the accepted message.",
    ),
    effect(
        "limit_size",
        &[&[p("rule", TEXT), p("octets", Type::Integer)]],
        Some(Named::Rule),
        BEFORE_BODY,
        "552 when the message turns out larger; the smallest limit counts.",
    ),
    effect(
        "remember",
        &[&[NAME, p("key", TEXT), p("keep", Type::Text(Form::Duration))]],
        Some(Named::Kept),
        BEFORE_CLOSE,
        "Kept beyond the session, for so long from now: `remembered(name, key)` says yes. It happens when the script gets there, \
         and is not undone. What a policy in shadow remembers, only policies in shadow are told.",
    ),
    effect(
        "override_dmarc",
        &[&[p("reason", words(&OVERRIDES))]],
        Some(Named::Override),
        AT_MESSAGE,
        "`Authentication-Results` says why a DMARC failure was not followed. It changes no verdict: to spare a message the policy \
         `dmarc`, also say `skip(\"dmarc\")`.",
    ),
    edit("prepend_header", &[&[NAME, p("text", TEXT)]], "Adds a field above the header."),
    edit("append_header", &[&[NAME, p("text", TEXT)]], "Adds a field below the header."),
    edit("remove_header", &[&[NAME]], "Removes every field of this name. A signature that covers it breaks."),
];

const fn effect(
    name: &'static str,
    signatures: &'static [&'static [Parameter]],
    names: Option<Named>,
    stages: &'static [Stage],
    doc: &'static str,
) -> Function {
    Function {
        name,
        receiver: None,
        signatures,
        gives: Type::Nothing,
        nature: Nature::Effect,
        names,
        stages,
        doc,
    }
}

/// An effect on the header of a message.
const fn edit(
    name: &'static str,
    signatures: &'static [&'static [Parameter]],
    doc: &'static str,
) -> Function {
    Function { receiver: Some("Message"), ..effect(name, signatures, None, AT_MESSAGE, doc) }
}
