//! What orders something and ends nothing.

use super::{
    AT_MESSAGE, AT_RCPT, BEFORE_BODY, BEFORE_CLOSE, FIELD, FROM_DATA, Form, Function, LINE, NUMBER, Named,
    Nature, Parameter, TEXT, Type, object, p, whole, words,
};
use crate::policy::judgement::Action;
use crate::policy::words::OVERRIDES;
use crate::session::stage::Stage;

const NAME: Parameter = p("name", TEXT);
const FIELD_NAME: Parameter = p("name", FIELD);
const RULE: Parameter = p("rule", TEXT);
const TO: Parameter = p("address", TEXT);
const RCPT: Parameter = p("rcpt", object("Rcpt"));
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
        &[&[p("name", Type::Text(Form::Tag)), p("value", LINE)]],
        None,
        BEFORE_CLOSE,
        "`X-Gatepost-Tag: name=value` on the accepted message.",
    ),
    order(
        None,
        "limit_size",
        Action::LimitSize,
        &[&[RULE, whole("octets", 0, i64::MAX)]],
        BEFORE_BODY,
        "552 when the message turns out larger; the smallest limit counts.",
    ),
    effect(
        "remember",
        &[&[NAME, p("key", TEXT), p("keep", Type::Text(Form::Keeping))]],
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
    order(
        None,
        "hold",
        Action::Hold,
        &[&[RULE, RCPT, p("reason", TEXT)]],
        FROM_DATA,
        "This recipient's copy goes to the quarantine; the others get the message.",
    ),
    order(
        None,
        "drop",
        Action::Drop,
        &[&[RULE, RCPT, p("reason", TEXT)]],
        FROM_DATA,
        "This recipient's copy vanishes; the others get the message. Logged and counted.",
    ),
    order(
        None,
        "score",
        Action::Score,
        &[&[RULE, p("points", NUMBER)]],
        BEFORE_CLOSE,
        "Points for a rule further on, which asks `total_score()`. Each rule has one score; a second call replaces it. It lasts as \
         long as a skip.",
    ),
    order(
        None,
        "tarpit",
        Action::Tarpit,
        &[&[p("time", Type::Text(Form::Duration))]],
        BEFORE_CLOSE,
        "The reply takes so long, at most 30 seconds, and two minutes in one transaction; of several times the longest.",
    ),
    order(
        Some("Rcpt"),
        "redirect",
        Action::Redirect,
        &[&[TO]],
        AT_RCPT,
        "The upstream is asked about this address in its place. The domain must be ours, or one of \
         `policies.redirect_domains`; likewise below.",
    ),
    order(
        Some("Mail"),
        "redirect",
        Action::Redirect,
        &[&[RCPT, TO]],
        FROM_DATA,
        "The message goes to the address in the recipient's place.",
    ),
    order(
        Some("Mail"),
        "add_recipient",
        Action::AddRecipient,
        &[&[TO]],
        FROM_DATA,
        "The message goes to this address too.",
    ),
    order(
        Some("Mail"),
        "remove_recipient",
        Action::RemoveRecipient,
        &[&[RCPT]],
        FROM_DATA,
        "The message does not go to this recipient.",
    ),
    edit("prepend_header", &[&[FIELD_NAME, p("text", LINE)]], "Adds a field above the header."),
    edit("append_header", &[&[FIELD_NAME, p("text", LINE)]], "Adds a field below the header."),
    edit(
        "remove_header",
        &[&[FIELD_NAME]],
        "Removes every field of this name. A signature that covers it breaks.",
    ),
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

/// An effect that is counted: in the name of the rule that is its first argument, or of its policy.
const fn order(
    receiver: Option<&'static str>,
    name: &'static str,
    action: Action,
    signatures: &'static [&'static [Parameter]],
    stages: &'static [Stage],
    doc: &'static str,
) -> Function {
    let names = match action {
        Action::LimitSize | Action::Hold | Action::Drop | Action::Score => Some(Named::Rule),
        _ => None,
    };
    let nature = Nature::Order(action);
    Function { receiver, nature, ..effect(name, signatures, names, stages, doc) }
}

/// An effect on the header of a message.
const fn edit(
    name: &'static str,
    signatures: &'static [&'static [Parameter]],
    doc: &'static str,
) -> Function {
    Function { receiver: Some("Message"), ..effect(name, signatures, None, AT_MESSAGE, doc) }
}
