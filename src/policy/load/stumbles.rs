//! What stopped the compiler, and what its author probably meant: Rhai names the sign that it misses, at the place where it missed it.

use rhai::{LexError, ParseErrorType, Position};

use super::super::language;
use super::super::lint::{Bracket, brackets};
use super::super::words;
use super::{habits, syntax};

/// A way out, and where the mistake is if that is not where the compiler stopped.
#[derive(Debug, PartialEq)]
pub(super) struct Stumble {
    pub(super) help: String,
    pub(super) at: Option<Position>,
}

/// What is known about a mistake at `position`.
pub(super) fn over(text: &str, position: Position, error: &ParseErrorType) -> Option<Stumble> {
    if let ParseErrorType::MissingToken(token, _) = error {
        return missing(text, position, token);
    }
    let help = match error {
        ParseErrorType::UnexpectedEOF => return missing(text, position, "}"),
        ParseErrorType::BadInput(LexError::MalformedChar(read)) => {
            format!("a text has double quotes: \"{read}\"")
        }
        ParseErrorType::BadInput(LexError::UnterminatedString) => UNTERMINATED.to_owned(),
        ParseErrorType::BadInput(LexError::MalformedNumber(read)) => {
            format!("a size or a duration is a text: `bytes(\"{read}\")`, `seconds(\"{read}\")`")
        }
        ParseErrorType::BadInput(LexError::MalformedEscapeSequence(_)) => BACKSLASH.to_owned(),
        ParseErrorType::BadInput(_) | ParseErrorType::UnknownOperator(_) => sign(text, position)?.to_owned(),
        ParseErrorType::FnMissingParams(name) | ParseErrorType::FnMissingBody(name) => whole_function(name),
        other => in_general(other, text, position)?.to_owned(),
    };
    Some(Stumble { help, at: None })
}

const UNTERMINATED: &str =
    "a text ends with the quote that it begins with; one of several lines stands between backticks";
const BACKSLASH: &str = "a backslash in a text is written `\\\\`; between backticks it stands for itself";
const SWITCH: &str = "an arm of `switch` is `\"a\" => ...,` with a text or a number that is written out, and `_ => ...` for all others, at its end";

fn in_general(error: &ParseErrorType, text: &str, position: Position) -> Option<&'static str> {
    Some(match error {
        ParseErrorType::FnDuplicatedDefinition(..) => {
            "there is one already: put both into one, or name them apart"
        }
        ParseErrorType::FnMissingName => {
            "a stage's function has the stage's name: `fn rcpt(session, mail, rcpt) { ... }`"
        }
        ParseErrorType::FnDuplicatedParam(..) => "give each its own name",
        ParseErrorType::WrongFnDefinition => {
            "put it beside the function around it, and hand over what it needs; or a `}` is missing above"
        }
        ParseErrorType::AssignmentToConstant(_) => "declare it with `let` in place of `const`",
        ParseErrorType::AssignmentToInvalidLHS(_) => {
            "only a variable is given a value, `let x = ...`; a field is set with `message.append_header(name, text)`"
        }
        ParseErrorType::VariableExpected
            if syntax::line_at(text, position).trim_start().starts_with("for") =>
        {
            "write `for entry in array { ... }`, or `for i in 0..n { ... }`"
        }
        ParseErrorType::VariableExpected => "a name begins with a letter, and has letters, digits and `_`",
        ParseErrorType::ExprExpected(what) if what == "literal" => SWITCH,
        ParseErrorType::WrongSwitchDefaultCase => SWITCH,
        ParseErrorType::LoopBreak => "`break` and `continue` stand in a loop; `return` ends the function",
        ParseErrorType::DuplicatedProperty(_) => "keep one of them",
        ParseErrorType::PropertyExpected => "behind a dot stands a name: `mail.sender`",
        ParseErrorType::WrongDocComment => "`///` stands in front of a function; write `//` elsewhere",
        ParseErrorType::ExprTooDeep => "give parts of it names: `let part = ...;`",
        ParseErrorType::MalformedIndexExpr(_) => {
            "an array and a text have numbers in the brackets, a map has texts"
        }
        _ => return None,
    })
}

/// A sign of another language's, at the place or around it.
fn sign(text: &str, position: Position) -> Option<&'static str> {
    let offset = syntax::offset(text, position)?;
    let places = [0, 1].into_iter().filter_map(|back| text.get(offset.checked_sub(back)?..));
    places.filter_map(habits::of_sign).next().filter(|_| !text.is_empty())
}

fn whole_function(name: &str) -> String {
    let stage = words::stage_named(name);
    let parameters = stage.map_or(&[][..], language::parameters);
    let names: Vec<_> = parameters.iter().map(|parameter| parameter.name).collect();
    let names = if names.is_empty() { "...".to_owned() } else { names.join(", ") };
    format!("write `fn {name}({names}) {{ ... }}`")
}

/// A bracket, a comma or a semicolon.
fn missing(text: &str, position: Position, token: &str) -> Option<Stumble> {
    let before = syntax::before(text, position);
    let here = |help: String| Some(Stumble { help, at: None });
    match token {
        ";" => semicolon(text, position),
        "{" => here(block(text, position)),
        "}" => here(match unclosed_block(text) {
            Some(open) => format!("the `{{` in line {} has none, as it seems", open.line),
            None => "each `{` has its own".to_owned(),
        }),
        ")" | "]" => here(closing(before, token)),
        _ if sign(text, position).is_some() => here(sign(text, position)?.to_owned()),
        "," => here("a comma stands between two of them".to_owned()),
        _ => None,
    }
}

/// A statement goes on where its end was expected.
fn semicolon(text: &str, position: Position) -> Option<Stumble> {
    let (before, rest) = (syntax::before(text, position), syntax::rest(text, position));
    let line = syntax::line_at(text, position).trim_start();
    let here = |help: &str| Some(Stumble { help: help.to_owned(), at: None });
    if let Some(help) = habits::of_word(syntax::first_word(rest)) {
        return here(help);
    }
    match rest.chars().next() {
        Some(':') if before.trim_end().ends_with('"') || line.starts_with("const SETTINGS") => {
            return here("a map begins with `#{`: `#{ \"name\": 5 }`");
        }
        Some(':') if line.starts_with("let ") => {
            return here("a variable has no type of its own: `let name = ...;`");
        }
        Some('-') if line.starts_with("let ") => {
            return here("a name has no `-`: join its words with `_`");
        }
        Some('{') if words::stage_named(syntax::first_word(line)).is_some() => {
            return here("a function begins with `fn`");
        }
        _ => {}
    }
    let end = syntax::end_of_code(before)?;
    let help = "end the statement in front of this with `;`".to_owned();
    let is_above = end.line() < position.line();
    Some(Stumble {
        help: if is_above { "write `;` here".to_owned() } else { help },
        at: is_above.then_some(end),
    })
}

/// Something else stands where a block begins.
fn block(text: &str, position: Position) -> String {
    let (before, rest) = (syntax::before(text, position), syntax::rest(text, position));
    let word = syntax::first_word(rest);
    if word == "not" && rest.trim_start_matches("not").trim_start().starts_with("in ") {
        return "write `x !in ...`".to_owned();
    }
    if syntax::line_at(text, position).matches('"').count() % 2 == 1 {
        return "a `\"` is missing in this line".to_owned();
    }
    if let Some(help) = habits::of_word(word) {
        return help.to_owned();
    }
    let digits = before.chars().rev().take_while(char::is_ascii_digit).count();
    if digits > 0 && !word.is_empty() {
        let number = before.get(before.len() - digits..).unwrap_or_default();
        return format!(
            "a size or a duration is a text: `bytes(\"{number}{word}\")`, `seconds(\"{number}{word}\")`"
        );
    }
    "what depends on a condition stands in braces: `if x { ... } else { ... }`".to_owned()
}

/// A bracket is open where it cannot go on.
fn closing(before: &str, token: &str) -> String {
    let wanted = if token == ")" { "(" } else { "[" };
    let mut open: Vec<Bracket<'_>> = Vec::new();
    for bracket in brackets(before) {
        if bracket.opens {
            open.push(bracket);
        } else {
            _ = open.pop();
        }
    }
    let Some(open) = open.into_iter().rev().find(|open| open.text == wanted) else {
        return format!("each `{wanted}` has its own");
    };
    let in_front = before.get(..open.offset).unwrap_or_default().trim_end();
    if wanted == "(" && in_front.ends_with(" in") {
        return "an array has square brackets: `x in [\"a\", \"b\"]`".to_owned();
    }
    format!("the `{wanted}` in line {}, column {} is still open", open.line, open.column)
}

/// The block that most likely lacks its end: what closes it stands further left than the line that opens it, else the last one that
/// is open.
fn unclosed_block(text: &str) -> Option<Bracket<'_>> {
    let indent = |line: usize| {
        let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        line.len() - line.trim_start().len()
    };
    let mut open: Vec<Bracket<'_>> = Vec::new();
    for bracket in brackets(text).filter(|bracket| ["{", "#{", "}"].contains(&bracket.text)) {
        if bracket.opens {
            open.push(bracket);
            continue;
        }
        let closed = open.pop()?;
        let begins_its_line = indent(bracket.line) + 1 == bracket.column;
        if begins_its_line && closed.line < bracket.line && indent(bracket.line) < indent(closed.line) {
            return Some(closed);
        }
    }
    open.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_without_an_end_is_found_by_what_stands_further_left() {
        let line = |text: &str| unclosed_block(text).map(|open| open.line);
        assert_eq!(line("fn a() {\n    if x {\n        y();\n}\n"), Some(2));
        assert_eq!(line("fn a() {\n    if x { y(); }\n"), Some(1));
        assert_eq!(line("fn a() {\n    let m = #{ a: \"}\" };\n}\n"), None);
        assert_eq!(line("}"), None);
    }

    #[test]
    fn no_text_makes_it_fail() {
        for token in [";", "{", "}", ")", "]", ",", "x"] {
            for text in ["", "(", "\u{e4}\"", "a\n//\n", "let -", "10MiB"] {
                for place in [Position::NONE, Position::new(1, 1), Position::new(1, 3), Position::new(9, 9)] {
                    _ = missing(text, place, token);
                }
            }
        }
    }
}
