//! What a verdict says: its reply code and its enhanced code.

use super::super::super::judgement::Action;
use super::super::super::language;
use super::super::super::words;
use super::super::survey::{Argument, Call, Literal};
use super::Check;
use crate::smtp::reply::{Code, EnhancedCode};

impl Check<'_> {
    /// The reply code of a verdict, when everything about its codes is right.
    pub(super) fn codes(&mut self, call: &Call, action: Action) -> Option<u16> {
        let (default_code, default_enhanced) = words::default_codes(action);
        let (code, enhanced) = match call.arguments.as_slice() {
            [_, _] => (None, None),
            [_, enhanced, _] => (None, Some(enhanced)),
            [_, code, enhanced, _] => (Some(code), Some(enhanced)),
            _ => {
                let message = format!(
                    "`{}` takes (rule, text), (rule, enhanced code, text) or (rule, code, enhanced code, text)",
                    call.name
                );
                self.at_name(
                    call,
                    message,
                    Some("write `reject(\"no-such-user\", \"nobody has this address here\")`"),
                );
                return None;
            }
        };
        let code = code.map_or(Some(default_code), |code| self.code(code, action));
        let enhanced = enhanced.map_or(Some(default_enhanced), |enhanced| self.enhanced(enhanced));
        let (code, enhanced) = (code?, enhanced?);
        if u16::from(enhanced.class) != code / 100 {
            let message = format!("the enhanced code {enhanced} does not belong to the code {code}");
            let help = format!("with {code} it begins with {}", code / 100);
            self.at_name(call, message, Some(&help));
            return None;
        }
        Some(code)
    }

    fn code(&mut self, argument: &Argument, action: Action) -> Option<u16> {
        let (allowed, help): (fn(u16) -> bool, _) = match action {
            Action::Defer => (|code| code / 100 == 4, "`defer` has a code from 400 to 459, such as 451"),
            Action::Disconnect => {
                (|code| code == 421 || code / 100 == 5, "`disconnect` has 421, or a code from 500 to 559")
            }
            _ => (|code| code / 100 == 5, "`reject` has a code from 500 to 559, such as 550"),
        };
        let code = match argument.value {
            Literal::Integer(code) => u16::try_from(code).ok(),
            _ => None,
        };
        let code = code.filter(|code| allowed(*code) && Code::new(*code).is_some());
        if code.is_none() {
            let problem =
                self.file.error(argument.position, 1, "this is not a reply code that can stand here");
            self.problems.push(problem.with_help(format!("{help}, written out")));
        }
        code
    }

    fn enhanced(&mut self, argument: &Argument) -> Option<EnhancedCode> {
        let code = match &argument.value {
            Literal::Text(text) => EnhancedCode::parse(text),
            _ => None,
        };
        if code.is_none() {
            let problem = self.file.error(argument.position, 1, "this is no enhanced status code");
            self.problems.push(problem.with_help("write it out, such as \"5.7.1\" (RFC 3463)"));
        }
        code
    }
}

/// The ways to call one of the host's words.
pub(super) fn shapes(name: &str) -> String {
    let signatures = language::find(name).map_or(&[][..], |word| word.signatures);
    let one = |parameters: &&[language::Parameter]| {
        let names: Vec<_> = parameters.iter().map(|parameter| parameter.name).collect();
        format!("`{name}({})`", names.join(", "))
    };
    let all: Vec<_> = signatures.iter().map(one).collect();
    format!("write {}", all.join(" or "))
}
