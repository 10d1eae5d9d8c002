//! What a verdict says: its reply code, its enhanced code, its text.

use super::super::super::judgement::Action;
use super::super::super::words;
use super::super::survey::{Argument, Call, Literal};
use super::Check;
use crate::smtp::reply::{Code, EnhancedCode};

impl Check<'_> {
    /// The reply code of a verdict, when everything about its codes is right.
    pub(super) fn codes(&mut self, call: &Call, action: Action) -> Option<u16> {
        let (default_code, default_enhanced) = words::default_codes(action);
        let (code, enhanced, text) = match call.arguments.as_slice() {
            [_, text] => (None, None, text),
            [_, enhanced, text] => (None, Some(enhanced), text),
            [_, code, enhanced, text] => (Some(code), Some(enhanced), text),
            _ => {
                let message = format!(
                    "`{}` takes (rule, text), (rule, enhanced code, text) or (rule, code, enhanced code, text)",
                    call.name
                );
                self.at_name(call, message, None);
                return None;
            }
        };
        let code = code.map_or(Some(default_code), |code| self.code(code, action));
        let enhanced = enhanced.map_or(Some(default_enhanced), |enhanced| self.enhanced(enhanced));
        self.said(text);
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

    /// The text for the client: `reject("rule", "5.7.1")` has forgotten it, `reject("rule", "")` has none.
    fn said(&mut self, argument: &Argument) {
        let Literal::Text(text) = &argument.value else { return };
        let (message, help) = if EnhancedCode::parse(text).is_some() {
            ("the last argument is the text for the client", "add a text in plain words behind the code")
        } else if text.trim().is_empty() {
            (
                "the client would be told no reason",
                "say in plain words why, and what its sender can do about it",
            )
        } else {
            return;
        };
        self.problems
            .push(self.file.error(argument.position, text.chars().count() + 2, message).with_help(help));
    }
}
