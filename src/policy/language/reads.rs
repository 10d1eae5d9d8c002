//! What belongs to the policy, or was left by another one.

use super::{ADDRESSEE, ANY, FIELD, Function, LOWER, Named, Nature, Parameter, TEXT, TEXTS, Type, object, p};

const NAME: Parameter = p("name", TEXT);
const FIELD_NAME: Parameter = p("name", FIELD);
const KEY: Parameter = p("key", TEXT);
const ADDRESSED: Parameter = p("key", ADDRESSEE);

pub(super) const READS: &[Function] = &[
    read(
        None,
        "setting",
        &[&[NAME]],
        Type::Any,
        Some(Named::Setting),
        "The value of a setting that SETTINGS of this policy declares: the configuration's, or the default.",
    ),
    read(
        Some("Rcpt"),
        "setting",
        &[&[NAME]],
        Type::Any,
        Some(Named::Setting),
        "The same as it holds for the recipient's domain.",
    ),
    read(
        None,
        "list",
        &[&[NAME]],
        object("List"),
        Some(Named::List),
        "A list of the configuration, to be asked with `in` and `!in`: `rcpt in list(\"partners\")`.",
    ),
    read(
        Some("List"),
        "contains",
        &[&[p("entry", ADDRESSEE)]],
        Type::Bool,
        None,
        "What `in` asks: whether an address, a domain or an IP address is in the list.",
    ),
    read(
        None,
        "table",
        &[&[NAME]],
        object("Table"),
        Some(Named::Table),
        "A table of the configuration, from keys to values; capitals in keys do not count.",
    ),
    read(
        Some("Table"),
        "get",
        &[&[ADDRESSED]],
        TEXT,
        None,
        "The first value of a key; `\"\"` if it is not there.",
    ),
    read(Some("Table"), "get_all", &[&[ADDRESSED]], TEXTS, None, "All values of a key, in their order."),
    read(
        Some("Table"),
        "contains",
        &[&[ADDRESSED]],
        Type::Bool,
        None,
        "What `in` asks: whether the key is there.",
    ),
    read(None, "noted", &[&[KEY]], Type::Any, None, "The note `\"policy.key\"`; `\"\"` if there is none."),
    read(
        None,
        "total_score",
        &[&[]],
        Type::Float,
        None,
        "The sum of the scores so far: of the session and the transaction, and at `rcpt` of this recipient, later the highest \
         among the recipients. Scores of rules in shadow are seen by policies in shadow only.",
    ),
    read(Some("Rcpt"), "noted", &[&[KEY]], Type::Any, None, "The same, left at `rcpt` for this recipient."),
    read(
        Some("Message"),
        "header",
        &[&[FIELD_NAME]],
        TEXT,
        None,
        "The first field of this name, decoded and unfolded; `\"\"` if there is none.",
    ),
    read(
        Some("Message"),
        "headers",
        &[&[FIELD_NAME]],
        TEXTS,
        None,
        "All fields of this name, decoded and unfolded.",
    ),
    read(
        Some("Message"),
        "raw_headers",
        &[&[FIELD_NAME]],
        TEXTS,
        None,
        "All fields of this name as they arrived.",
    ),
    read(
        Some("Message"),
        "header_count",
        &[&[FIELD_NAME]],
        Type::Integer,
        None,
        "How many fields of this name there are.",
    ),
    read(
        Some("Message"),
        "repeated_headers",
        &[&[p("names", TEXTS)]],
        TEXTS,
        None,
        "Those of these names of which there is more than one field.",
    ),
    read(
        Some("Address"),
        "to_string",
        &[&[]],
        LOWER,
        None,
        "Its comparable form, as in `` `from ${mail.sender}` ``.",
    ),
    read(Some("Address"), "to_debug", &[&[]], LOWER, None, "The same inside an array."),
    read(Some("Rcpt"), "to_string", &[&[]], LOWER, None, "Its comparable form, as in `` `for ${rcpt}` ``."),
    read(Some("Rcpt"), "to_debug", &[&[]], LOWER, None, "The same inside an array."),
];

const fn read(
    receiver: Option<&'static str>,
    name: &'static str,
    signatures: &'static [&'static [Parameter]],
    gives: Type,
    names: Option<Named>,
    doc: &'static str,
) -> Function {
    Function { name, receiver, signatures, gives, nature: Nature::Read, names, stages: ANY, doc }
}
