//! What may stand at a place of the configuration, as [`Read`] takes it: for editors, which want to know before anything is read.

use super::read::Read;

/// What may stand at a place. Wherever one value stands, a variable may stand in it.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A text; which ones are good only shows when it is used.
    Text,
    /// `true` or `false`.
    Switch,
    /// A whole number, not below zero.
    Whole,
    /// A text of a certain form.
    Form(&'static Form),
    /// One of these words.
    Words(Vec<&'static str>),
    /// A text, a number or a switch.
    Scalar,
    /// A list of such values.
    List(Box<Self>),
    /// The same, with at least one of them.
    Several(Box<Self>),
    /// Such values under names of the operator's choice.
    Named(Box<Self>),
    /// A section with these keys and no others.
    Section(Vec<Field>),
    /// One of these.
    Either(Vec<Self>),
}

/// A key of a section.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// The key.
    pub name: &'static str,
    /// Whether the section cannot do without it.
    pub required: bool,
    /// What may stand behind it.
    pub shape: Shape,
}

/// How a text looks.
#[derive(Debug)]
pub(super) struct Form {
    /// A regular expression that every such text fulfils.
    pub pattern: &'static str,
    /// What to write, in few words.
    pub says: &'static str,
}

/// A size with its unit.
pub(super) const SIZE: Form =
    Form { pattern: "^[0-9]+(B|KiB|MiB|GiB|KB|MB|GB)$", says: "a size such as 25MiB" };
/// A time with its unit.
pub(super) const TIME: Form = Form { pattern: "^[0-9]+(ms|s|m|h|d)$", says: "a time such as 30s" };
/// So many times within a time.
pub(super) const RATE: Form = Form { pattern: "^(off|[0-9]+/[smh])$", says: "a rate such as 60/m, or off" };
/// So many bytes a second.
pub(super) const DATA_RATE: Form =
    Form { pattern: "^(off|[0-9]+(B|KiB|MiB|GiB|KB|MB|GB)/s)$", says: "a rate such as 100B/s, or off" };
/// A network, or one address.
pub(super) const NETWORK: Form = Form {
    pattern: "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
    says: "a network such as 192.0.2.0/24 or 2001:db8::/32, or one address",
};
/// Where clients connect.
pub(super) const LISTENING: Form = Form {
    pattern: "^(systemd:[^:]+|[0-9.]+:[0-9]+|\\[[^\\]]+\\]:[0-9]+)$",
    says: "an address such as [::]:25 or 127.0.0.1:25, or systemd:NAME",
};
/// Where the operator's side door is.
pub(super) const DOOR: Form = Form {
    pattern: "^(unix:.+|[0-9.]+:[0-9]+|\\[[^\\]]+\\]:[0-9]+)$",
    says: "an address such as 127.0.0.1:9925, or unix:PATH",
};
/// Which lines the log has.
pub(super) const LEVEL: Form = Form {
    pattern: "^((off|error|warn|info|debug|trace)|[^=]*=.*|.*,.*)$",
    says: "off, error, warn, info, debug or trace; or parts apart: info,gatepost::dns=debug",
};

impl Shape {
    /// One such value, or a list of at least one.
    pub(super) fn one_or_more(self) -> Self {
        Self::Either(vec![self.clone(), Self::Several(Box::new(self))])
    }

    /// A section with these keys, none of which has to be there.
    pub(super) fn section<const N: usize>(fields: [(&'static str, Self); N]) -> Self {
        let field = |(name, shape)| Field { name, required: false, shape };
        Self::Section(fields.into_iter().map(field).collect())
    }
}

/// What may stand behind the key of a section whose values go to the field that `of` shows.
pub(super) fn field<S, T: Read>(name: &'static str, need: &str, _of: fn(&S) -> &Option<T>) -> Field {
    Field { name, required: need == "required", shape: T::shape() }
}
