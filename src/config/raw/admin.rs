//! `admin`: the operator's side door.

use crate::admin::Place;

use super::super::read::{Keys, OneOrMore, Placed, Read, parsed};
use super::super::report::Report;
use super::super::shape::{self, Shape};
use super::super::tree::Node;
use super::Secret;

/// `admin`.
#[derive(Debug)]
pub(in super::super) struct Admin {
    pub listen: Option<OneOrMore<Placed<Place>>>,
    pub token: Option<Placed<Secret>>,
    pub hosts: Option<Vec<Placed<String>>>,
}

section!(Admin { listen: required, token: optional, hosts: optional });

impl Read for Place {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let help = "write it as `127.0.0.1:9925`, `[::1]:9925` or `unix:PATH`";
        parsed(node, report, "an IP address with a port, or a UNIX socket", help, |text| {
            match text.strip_prefix("unix:") {
                Some(path) => (!path.is_empty()).then(|| Self::Unix(path.into())),
                None => text.parse().ok().map(Self::Tcp),
            }
        })
    }

    fn shape() -> Shape {
        Shape::Form(&shape::DOOR)
    }
}
