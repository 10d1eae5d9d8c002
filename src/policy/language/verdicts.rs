//! What ends a script.

use super::super::judgement::Action;
use super::{
    BEFORE_CLOSE, FROM_RCPT, Function, IN_TRANSACTION, LINE, Named, Nature, Parameter, TEXT, Type, p,
};
use crate::session::stage::Stage;

const RULE: Parameter = p("rule", TEXT);
const SAID: Parameter = p("text", LINE);
const ENHANCED: Parameter = p("enhanced", TEXT);
/// The ways to say no.
const REFUSAL: &[&[Parameter]] =
    &[&[RULE, SAID], &[RULE, ENHANCED, SAID], &[RULE, p("code", Type::Integer), ENHANCED, SAID]];

pub(super) const VERDICTS: &[Function] = &[
    verdict(
        "reject",
        Action::Reject,
        REFUSAL,
        BEFORE_CLOSE,
        "The client hears no: 550 5.7.1, or the codes that are given (5yz).",
    ),
    verdict(
        "defer",
        Action::Defer,
        REFUSAL,
        BEFORE_CLOSE,
        "The client hears \"not now\": 451 4.7.1, or the codes that are given (4yz).",
    ),
    verdict(
        "disconnect",
        Action::Disconnect,
        REFUSAL,
        BEFORE_CLOSE,
        "The client hears no, and the connection closes: 421 4.7.0, or the codes that are given (421 or 5yz).",
    ),
    verdict(
        "discard",
        Action::Discard,
        &[&[RULE, p("reason", TEXT)]],
        IN_TRANSACTION,
        "The client hears yes and the mail vanishes; at `rcpt` for this recipient only. Logged and counted.",
    ),
    verdict(
        "quarantine",
        Action::Quarantine,
        &[&[RULE, p("reason", TEXT)]],
        FROM_RCPT,
        "The client hears yes once the mail is safe in the quarantine, and nobody gets it; at `rcpt` for this recipient only.",
    ),
];

const fn verdict(
    name: &'static str,
    action: Action,
    signatures: &'static [&'static [Parameter]],
    stages: &'static [Stage],
    doc: &'static str,
) -> Function {
    Function {
        name,
        receiver: None,
        signatures,
        gives: Type::Nothing,
        nature: Nature::Verdict(action),
        names: Some(Named::Rule),
        stages,
        doc,
    }
}
