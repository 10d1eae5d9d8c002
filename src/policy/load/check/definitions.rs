//! How a script's functions are called, and what they are given: whether anything ever asks them.

use super::super::super::language;
use super::super::super::words;
use super::super::survey::Function;
use super::{Check, Role};
use crate::diagnostic::nearest;
use crate::session::stage::Stage;

impl Check<'_> {
    /// A function must not take the place of one of the host's, and a stage's function has the stage's parameters.
    pub(super) fn definition(&mut self, function: &Function) {
        let name = &function.name;
        let at = function.position;
        if self.host.has(name) {
            let message = format!("this would replace Gatepost's own function `{name}`, in silence");
            let help = "give it another name";
            return self.problems.push(self.file.error(at, name.len(), message).with_help(help));
        }
        if self.role == Role::Library {
            return;
        }
        if let Some(stage) = words::stage_named(name) {
            if self.role == Role::Tenant && !words::TENANT_STAGES.contains(&stage) {
                let message = format!("a policy of a domain's own is not asked at {stage}");
                let help = "it has a say about its recipients (`rcpt`) and messages to them (`message`)";
                return self.problems.push(self.file.error(at, name.len(), message).with_help(help));
            }
            let parameters = language::parameters(stage);
            if function.parameters != parameters.len() {
                let message = match parameters.len() {
                    1 => format!("the function of stage `{stage}` has 1 parameter"),
                    length => format!("the function of stage `{stage}` has {length} parameters"),
                };
                self.problems.push(self.file.error(at, name.len(), message).with_help(whole(stage)));
            } else if is_mixed_up(function, stage) {
                let message = format!("the parameters of stage `{stage}` stand in another order");
                self.problems.push(self.file.error(at, name.len(), message).with_help(whole(stage)));
            }
        } else if !self.survey.is_reached(function) {
            self.unreached(function);
        }
    }

    /// Nearly the name of a stage: what is meant to run never would.
    fn unreached(&mut self, function: &Function) {
        let (name, at) = (&function.name, function.position);
        let len = name.chars().count();
        let problem = match nearest(name, Stage::ALL.map(Stage::name)) {
            Some(stage) => {
                let names = parameter_names(words::stage_named(stage));
                let message = format!("there is no stage `{name}`, and no stage's function calls this");
                let help = format!("did you mean `fn {stage}({})`?", names.join(", "));
                self.file.error(at, len, message).with_help(help)
            }
            None => {
                let help = match nearly_a_stage(function) {
                    Some(stage) => format!("if it is for the stage `{stage}`: {}", whole(stage)),
                    None => "call it, or take it away".to_owned(),
                };
                self.file.warning(at, len, "no stage's function ever calls this").with_help(help)
            }
        };
        self.problems.push(problem);
    }
}

fn parameter_names(stage: Option<Stage>) -> Vec<&'static str> {
    let parameters = stage.map_or(&[][..], language::parameters);
    parameters.iter().map(|parameter| parameter.name).collect()
}

/// How the function of a stage begins.
fn whole(stage: Stage) -> String {
    format!("write `fn {stage}({})`", parameter_names(Some(stage)).join(", "))
}

/// Whether a stage's function has the names of its parameters in another order.
fn is_mixed_up(function: &Function, stage: Stage) -> bool {
    let known = parameter_names(Some(stage));
    let own = function.variables.iter().take(function.parameters);
    own.zip(&known).any(|(own, known_here)| own != known_here && known.contains(&own.as_str()))
}

/// The stage that a function which nobody calls may be meant for: it begins with a session, and its name has the stage's in it, or
/// what others call that.
fn nearly_a_stage(function: &Function) -> Option<Stage> {
    const OTHERS: [(&str, Stage); 10] = [
        ("recipient", Stage::Rcpt),
        ("rcptto", Stage::Rcpt),
        ("sender", Stage::Mail),
        ("mailfrom", Stage::Mail),
        ("from", Stage::Mail),
        ("ehlo", Stage::Helo),
        ("login", Stage::Auth),
        ("body", Stage::Message),
        ("eom", Stage::Message),
        ("header", Stage::Message),
    ];
    if function.parameters == 0 || function.variables.first().is_none_or(|first| first != "session") {
        return None;
    }
    let name = function.name.to_lowercase();
    let mut parts = name.split('_');
    parts.find_map(|part| {
        let other = OTHERS.iter().find(|(other, _)| *other == part).map(|(_, stage)| *stage);
        words::stage_named(part).or(other)
    })
}
