//! `state`: the store of policies' memory.

use std::path::PathBuf;
use std::time::Duration;

use super::super::read::{Keys, Placed, Read, Size};
use super::super::report::Report;
use super::super::shape::{self, Shape};
use super::super::tree::{Node, Value};
use super::Secret;

/// `state`: where it is, alone or with how it is reached.
#[derive(Debug, Default)]
pub(in super::super) struct State {
    pub at: Option<Placed<String>>,
    pub user: Option<Placed<String>>,
    pub password: Option<Placed<Secret>>,
    pub ca: Option<Placed<PathBuf>>,
    pub timeout: Option<Placed<Duration>>,
    pub max_records: Option<Placed<u32>>,
    pub memory: Option<Placed<Size>>,
}

const KEYS: [&str; 7] = ["at", "user", "password", "ca", "timeout", "max_records", "memory"];

impl Read for State {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            return Placed::read(node, report).map(|at| Self { at: Some(at), ..Self::default() });
        }
        let mut keys = Keys::of(node, &KEYS, report)?;
        let state = Self {
            at: keys.required("at", report),
            user: keys.optional("user", report),
            password: keys.optional("password", report),
            ca: keys.optional("ca", report),
            timeout: keys.optional("timeout", report),
            max_records: keys.optional("max_records", report),
            memory: keys.optional("memory", report),
        };
        keys.end(report);
        Some(state)
    }

    fn shape() -> Shape {
        let fields = vec![
            shape::field("at", "required", |state: &Self| &state.at),
            shape::field("user", "optional", |state: &Self| &state.user),
            shape::field("password", "optional", |state: &Self| &state.password),
            shape::field("ca", "optional", |state: &Self| &state.ca),
            shape::field("timeout", "optional", |state: &Self| &state.timeout),
            shape::field("max_records", "optional", |state: &Self| &state.max_records),
            shape::field("memory", "optional", |state: &Self| &state.memory),
        ];
        Shape::Either(vec![Shape::Text, Shape::Section(fields)])
    }
}
