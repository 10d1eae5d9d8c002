//! `policies`: where they are, and how the operator bends them.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::super::read::{Choice, Keys, Named, OneOrMore, Placed, Read, scalar};
use super::super::report::Report;
use super::super::shape::Shape;
use super::super::tree::{Node, Value};
use super::Entries;
use crate::policy::judgement::Mode;
use crate::policy::sources::{ListKind, OnError, RefuseAt, Setting};

/// `policies`.
#[derive(Debug, Default)]
pub(in crate::config) struct Policies {
    pub dir: Option<Placed<PathBuf>>,
    pub on_error: Option<OnError>,
    pub refuse_at: Option<RefuseAt>,
    pub deny_warnings: Option<bool>,
    pub modes: Option<Named<Mode>>,
    pub settings: Option<Settings>,
    pub lists: Option<Named<List>>,
    pub tables: Option<Named<Table>>,
    pub exceptions: Option<Vec<Placed<Exception>>>,
    pub domains: Option<Named<Domain>>,
    pub redirect_domains: Option<Placed<Entries>>,
    pub http_hosts: Option<Vec<Placed<String>>>,
    pub clamd: Option<Placed<String>>,
    pub rspamd: Option<Placed<String>>,
    pub require_tests: Option<bool>,
    pub limits: Option<Budget>,
}

section!(Policies {
    dir: optional,
    on_error: optional,
    refuse_at: optional,
    deny_warnings: optional,
    modes: optional,
    settings: optional,
    lists: optional,
    tables: optional,
    exceptions: optional,
    domains: optional,
    redirect_domains: optional,
    http_hosts: optional,
    clamd: optional,
    rspamd: optional,
    require_tests: optional,
    limits: optional,
});

impl Choice for OnError {
    const WORDS: &'static [(&'static str, Self)] = &[("defer", Self::Defer), ("pass", Self::Pass)];
}

impl Choice for RefuseAt {
    const WORDS: &'static [(&'static str, Self)] = &[("stage", Self::Stage), ("rcpt", Self::Rcpt)];
}

impl Choice for Mode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("enforce", Self::Enforce), ("shadow", Self::Shadow), ("off", Self::Off)];
}

impl Choice for ListKind {
    const WORDS: &'static [(&'static str, Self)] =
        &[("addresses", Self::Addresses), ("domains", Self::Domains), ("networks", Self::Networks)];
}

impl Read for Setting {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        if matches!(node.value, Value::List(_)) {
            return Vec::read(node, report).map(Self::Array);
        }
        let found = scalar(node, report, "a text, a number, a bool or a list of texts")?;
        let text = &found.text;
        if !found.plain {
            return Some(Self::Text(text.clone()));
        }
        let number = || text.parse().map(Self::Integer).or_else(|_| text.parse().map(Self::Float)).ok();
        let word = || text.parse().map(Self::Bool).ok();
        let looks_like_number = text.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
        let literal = if looks_like_number { number() } else { word() };
        Some(literal.unwrap_or_else(|| Self::Text(text.clone())))
    }

    fn shape() -> Shape {
        Shape::Scalar.one_or_more()
    }
}

/// What a setting is given; of several values, each with its place.
#[derive(Debug)]
pub(in crate::config) enum Given {
    One(Setting),
    Several(Vec<Placed<Setting>>),
}

impl Read for Given {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match node.value {
            Value::List(_) => Vec::read(node, report).map(Self::Several),
            _ => Setting::read(node, report).map(Self::One),
        }
    }

    fn shape() -> Shape {
        Setting::shape()
    }
}

/// Settings by policy and name.
pub(in crate::config) type Settings = Named<Named<Given>>;

/// One of `policies.exceptions`.
#[derive(Debug)]
pub(in crate::config) struct Exception {
    pub rule: Option<Placed<String>>,
    pub policy: Option<Placed<String>>,
    pub mode: Option<Placed<Mode>>,
    pub clients: Option<Placed<OneOrMore<IpNet>>>,
    pub recipients: Option<Placed<OneOrMore<String>>>,
    pub listeners: Option<Placed<OneOrMore<String>>>,
    pub until: Option<Placed<String>>,
    pub why: Option<Placed<String>>,
}

section!(Exception {
    rule: optional,
    policy: optional,
    mode: required,
    clients: optional,
    recipients: optional,
    listeners: optional,
    until: optional,
    why: required,
});

/// One of `policies.domains`.
#[derive(Debug)]
pub(in crate::config) struct Domain {
    pub settings: Option<Settings>,
    pub modes: Option<Named<Mode>>,
}

section!(Domain { settings: optional, modes: optional });

/// One of `policies.lists`: `[...]`, `{ file: PATH }` or `{ entries: [...] }`, the latter two perhaps with a kind.
#[derive(Debug)]
pub(in crate::config) struct List {
    pub kind: Option<ListKind>,
    pub entries: Entries,
}

impl Read for List {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            return Some(Self { kind: None, entries: Entries::Inline(Vec::read(node, report)?) });
        }
        let mut keys = Keys::of(node, &["file", "entries", "kind"], report)?;
        let file: Option<Placed<PathBuf>> = keys.optional("file", report);
        let inline: Option<Vec<Placed<String>>> = keys.optional("entries", report);
        let kind = keys.optional("kind", report);
        keys.end(report);
        let entries = match (file, inline) {
            (Some(file), None) => Entries::File(file),
            (None, Some(entries)) => Entries::Inline(entries),
            (Some(file), Some(_)) => {
                report.error(file.place, "`file` and `entries` cannot stand together");
                return None;
            }
            (None, None) => {
                if !report.has_errors() {
                    let help = "write `[a, b]` for entries here, or `{ file: PATH }`";
                    report.error_with_help(node.place, "the list has no entries", help);
                }
                return None;
            }
        };
        Some(Self { kind, entries })
    }

    fn shape() -> Shape {
        let entries = Vec::<String>::shape();
        let keys = [("file", Shape::Text), ("entries", entries.clone()), ("kind", ListKind::shape())];
        Shape::Either(vec![entries, Shape::section(keys)])
    }
}

/// One of `policies.tables`: `{ file: PATH }`, or keys with a value or several.
#[derive(Debug)]
pub(in crate::config) enum Table {
    Inline(Named<OneOrMore<String>>),
    File(Placed<PathBuf>),
}

impl Read for Table {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let names_a_file = matches!(&node.value, Value::Map(entries)
            if matches!(entries.as_slice(), [(key, value)] if key.name == "file" && matches!(value.value, Value::Scalar(_))));
        if !names_a_file {
            return Named::read(node, report).map(Self::Inline);
        }
        let mut keys = Keys::of(node, &["file"], report)?;
        let file = keys.required("file", report);
        keys.end(report);
        file.map(Self::File)
    }

    /// A file is written like a table with the single key `file`.
    fn shape() -> Shape {
        Named::<OneOrMore<String>>::shape()
    }
}

/// `policies.limits`.
#[derive(Debug, Default)]
pub(in crate::config) struct Budget {
    pub time: Option<Placed<Duration>>,
    pub operations: Option<Placed<u64>>,
    pub facts: Option<Placed<u32>>,
    pub tarpits: Option<Placed<u64>>,
}

section!(Budget { time: optional, operations: optional, facts: optional, tarpits: optional });
