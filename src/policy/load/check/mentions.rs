//! What a script mentions and other files decide about: notes, addresses and URLs.

use rhai::Position;

use super::super::super::lint::Mention;
use super::super::Script;
use super::super::survey::{Argument, Call, Literal};
use super::{Check, Names};
use crate::session::stage::Stage;

/// Where a note is left, or asked for.
#[derive(Debug)]
pub(in super::super) struct NoteSite {
    /// Without the name of the policy where it is left, with it where it is asked for.
    pub(in super::super) key: String,
    pub(in super::super) position: Position,
    /// What is shown of it, in characters.
    pub(in super::super) width: usize,
    pub(in super::super) stages: Vec<Stage>,
    /// Asked of a recipient: `rcpt.noted(...)`.
    pub(in super::super) is_of_recipient: bool,
}

/// A text that one of these words is given.
#[derive(Debug)]
struct Mentioned<'m> {
    word: &'m str,
    is_method: bool,
    text: String,
    position: Position,
    width: usize,
    stages: Vec<Stage>,
}

/// An address or a URL, with its place.
#[derive(Debug)]
pub(in super::super) struct TargetSite {
    pub(in super::super) text: String,
    pub(in super::super) position: Position,
    /// What is shown of it, in characters.
    pub(in super::super) width: usize,
}

impl Names {
    /// Takes down one more text.
    fn mention(&mut self, mentioned: Mentioned<'_>) {
        let Mentioned { word, is_method, text, position, width, stages } = mentioned;
        match word {
            "note" | "noted" => {
                let site = NoteSite { key: text, position, width, stages, is_of_recipient: is_method };
                let sites = if word == "note" { &mut self.notes } else { &mut self.noted };
                sites.push(site);
            }
            "redirect" | "add_recipient" => self.addresses.push(TargetSite { text, position, width }),
            "http_get" | "http_post" => self.urls.push(TargetSite { text, position, width }),
            _ => {}
        }
    }
}

impl Check<'_> {
    /// Those that are written out at the place. Of the others the lint tells what it knows.
    pub(super) fn mentioned(&mut self, call: &Call, word: &str, stages: &[Stage]) {
        let argument = match word {
            "redirect" => call.arguments.last(),
            _ => call.arguments.first(),
        };
        match argument {
            Some(Argument { value: Literal::Text(text), position }) => self.names.mention(Mentioned {
                word,
                is_method: call.is_method,
                text: text.clone(),
                position: *position,
                width: text.chars().count() + 2,
                stages: stages.to_vec(),
            }),
            _ => self.names.notes_anything |= word == "note",
        }
    }
}

impl Script {
    /// Takes down what the script mentions in variables.
    pub(in super::super) fn mention(&mut self, mentions: Vec<Mention>) {
        for Mention { word, is_method, text, position, width, function } in mentions {
            let around = self.survey.functions.iter().find(|known| known.name == function);
            let stages = around.map_or_else(|| self.survey.stages(), |known| self.survey.stages_of(known));
            self.names.mention(Mentioned { word, is_method, text, position, width, stages });
        }
    }
}
