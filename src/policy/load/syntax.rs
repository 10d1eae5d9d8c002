//! What the compiler says, with a way out: it knows no word of Gatepost's.

use rhai::{ParseError, ParseErrorType, Position};

use super::super::language::{self, Object, Parameter, Type, object_named};
use super::super::lint::Host;
use super::super::words::{self, FORBIDDEN};
use super::file::ScriptFile;
use super::stumbles::{self, Stumble};
use super::{habits, suggest};
use crate::diagnostic::{Diagnostic, nearest};
use crate::session::stage::Stage;

/// Steps from one object to another that a path in a help has at most.
const MAX_STEPS: usize = 3;
/// Paths that one help names.
const MAX_PATHS: usize = 3;

/// What an author may have meant, besides the text itself.
#[derive(Clone, Copy)]
pub(super) struct Known<'k> {
    pub(super) host: &'k Host,
    /// The names of all libraries; `None` for a library, which sees no other one.
    pub(super) libraries: Option<&'k [String]>,
}

/// What stopped the compiler, unless it is a variable that it does not know. `None` for a library that has a mistake of its own: that
/// is told already.
pub(super) fn stopped(file: &ScriptFile, error: &ParseError, known: Known<'_>) -> Option<Diagnostic> {
    let position = error.position();
    let message = error.err_type().to_string();
    let word = word_at(&file.text, position);
    let problem = file.error(position, word.chars().count().max(1), message);
    if let Some((name, why)) = FORBIDDEN.iter().find(|(name, _)| *name == word) {
        return Some(problem.with_help(format!("`{name}` is switched off: {why}")));
    }
    Some(match error.err_type() {
        ParseErrorType::Reserved(word) => problem.with_help(reserved(&file.text, position, word)),
        ParseErrorType::ModuleUndefined(name) if known.libraries.is_some_and(|all| all.contains(name)) => {
            return None;
        }
        ParseErrorType::ModuleUndefined(name) => no_library(problem, name, &file.text, known),
        ParseErrorType::MismatchedType(wanted, _) if wanted.contains("bool") => {
            let help = "each side of `||` and `&&` is a condition of its own: `x == \"a\" || x == \"b\"`, or `x in [\"a\", \"b\"]`";
            problem.with_help(help)
        }
        other => match stumbles::over(&file.text, position, other) {
            Some(Stumble { help, at: None }) => problem.with_help(help),
            Some(Stumble { help, at: Some(at) }) => {
                file.error(at, 1, error.err_type().to_string()).with_help(help)
            }
            None => problem,
        },
    })
}

/// A word that begins a function or a statement in other languages: what stands behind it tells nothing.
pub(super) fn beginning(file: &ScriptFile, error: &ParseError, name: &str) -> Option<Diagnostic> {
    let position = error.position();
    let (line, behind) = (line_at(&file.text, position), rest(&file.text, position).strip_prefix(name)?);
    let stage = first_word(line);
    let (at, len, help) = if words::stage_named(stage).is_some() && line.get(stage.len()..)?.starts_with('(')
    {
        let at = Position::new(position.line()?.try_into().ok()?, 1);
        (at, stage.len(), format!("a function begins with `fn`: `fn {}`", line.trim_end_matches(['{', ' '])))
    } else if habits::is_beginning(name) {
        (position, name.chars().count(), habits::of_word(name)?.to_owned())
    } else if behind.trim_start().starts_with('=')
        && !["==", "=>"].iter().any(|sign| behind.trim_start().starts_with(sign))
    {
        (position, name.chars().count(), format!("declare it: `let {name} = ...`"))
    } else {
        return None;
    };
    let what = if at == position { error.err_type().to_string() } else { "This is no function".to_owned() };
    Some(file.error(at, len, what).with_help(help))
}

/// What to write in the place of a word that Rhai keeps for itself.
fn reserved(text: &str, position: Position, word: &str) -> String {
    if before(text, position).trim_end().ends_with('.') {
        return format!("write the key between brackets, without the dot: `[\"{word}\"]`");
    }
    match word {
        "null" | "nil" | "void" => {
            "nothing is ever absent: compare with \"\", 0, or ask `.is_empty()`; a key that a map lacks is `()`"
        }
        "var" | "static" => "a variable is declared with `let`",
        "match" | "case" => "write `switch x { \"a\" => ..., _ => ... }`; a regular expression is asked with `matches(...)`",
        sign if !sign.starts_with(char::is_alphabetic) => {
            habits::of_sign(sign).unwrap_or("Rhai keeps this sign for itself")
        }
        _ => "Rhai keeps this word for itself: choose another name, or put a key of a map in quotes",
    }
    .to_owned()
}

fn no_library(problem: Diagnostic, name: &str, text: &str, known: Known<'_>) -> Diagnostic {
    if name.eq_ignore_ascii_case("settings") {
        let setting = text.split(&format!("{name}::")).nth(1).map_or("name", first_word);
        return problem.with_help(format!("read a setting with `setting(\"{setting}\")`"));
    }
    let Some(libraries) = known.libraries else {
        return problem.with_help("a library sees no other one: it takes values and returns values");
    };
    let problem = suggest(problem, name, libraries.iter().map(String::as_str));
    if problem.help.is_some() {
        return problem;
    }
    problem.with_help(match libraries {
        [] => "there is no library here; a file `lib/NAME.rhai` beside the policies is one for all policies"
            .to_owned(),
        all => format!("the libraries are {}", all.join(", ")),
    })
}

/// A variable that is not there, with what was probably meant.
pub(super) fn undefined(file: &ScriptFile, error: &ParseError, name: &str, known: Known<'_>) -> Diagnostic {
    let problem = file.error(error.position(), name.chars().count(), error.err_type().to_string());
    let around = Around::of(before(&file.text, error.position()));
    let help = by_place(name, &file.text, error.position());
    let help = help.or_else(|| parameter(name, &around));
    let help = help.or_else(|| habits::of_word(name).map(str::to_owned)).or_else(|| path(name, &around));
    let help = help.or_else(|| declared(name, &file.text));
    let help = help.or_else(|| Some(format!("did you mean `{}`?", nearest(name, names(&file.text))?)));
    let help =
        help.or_else(|| known.host.has(name).then(|| format!("`{name}` is a function: write `{name}(...)`")));
    problem.with_help(help.unwrap_or_else(|| {
        format!("a variable is declared with `let {name} = ...`; a text has double quotes: \"{name}\"")
    }))
}

/// What a word means where it stands.
fn by_place(name: &str, text: &str, position: Position) -> Option<String> {
    let (before, behind) = (before(text, position).trim_end(), rest(text, position).strip_prefix(name)?);
    let line = line_at(text, position);
    let quoted = || Some(format!("a text has double quotes: \"{name}\""));
    if name.eq_ignore_ascii_case("settings") {
        return Some("read a setting with `setting(\"name\")`".to_owned());
    }
    if behind.trim_start().starts_with(':') && !behind.trim_start().starts_with("::") {
        return Some(format!("a map begins with `#{{`: `#{{ {name}: ... }}`"));
    }
    if behind.trim_start().starts_with("=>") && !before.ends_with(['{', ',']) {
        return Some(format!("a closure is written `|{name}| ...`"));
    }
    if let Some(owner) = before.strip_suffix('-').filter(|owner| owner.ends_with(is_of_word)) {
        let joined = format!("{}_{name}", last_word(owner));
        if language::objects().any(|object| object.property(&joined).is_some()) {
            return Some(format!("did you mean `{joined}`? A name has no `-`"));
        }
    }
    match before.strip_suffix('(').map(last_word) {
        Some("setting" | "list" | "table" | "noted" | "skip") => return quoted(),
        _ if line.starts_with("const ") => return quoted(),
        _ => {}
    }
    before.ends_with(" in").then(|| format!("an entry of the configuration's lists: `in list(\"{name}\")`"))
}

/// A name that the file declares in another place.
fn declared(name: &str, text: &str) -> Option<String> {
    let declares =
        |line: &str, word: &str| line.strip_prefix(word).is_some_and(|rest| first_word(rest) == name);
    if text.lines().any(|line| declares(line, "let ") || declares(line, "const ")) {
        let lower = name.to_lowercase();
        return Some(format!(
            "functions see nothing of what stands around them: `const SETTINGS = #{{ {lower}: ... }};` and `setting(\"{lower}\")`"
        ));
    }
    names(text).any(|known| known == name).then(|| {
        format!("another `{name}` is in this file: a variable ends with its block, and a function sees what it is given")
    })
}

/// The function that a place is in.
struct Around<'t> {
    name: &'t str,
    parameters: Vec<&'t str>,
}

impl<'t> Around<'t> {
    /// The last one that begins in the text in front of the place.
    fn of(before: &'t str) -> Self {
        let head = before.rsplit("fn ").next().unwrap_or_default();
        let (name, rest) = head.split_once('(').unwrap_or((head, ""));
        let list = rest.split_once(')').map_or("", |(list, _)| list);
        Self { name: name.trim(), parameters: split(list).collect() }
    }

    /// The stage whose function it is, with that function's parameters.
    fn stage(&self) -> Option<(Stage, &'static [Parameter])> {
        words::stage_named(self.name).map(|stage| (stage, language::parameters(stage)))
    }
}

/// Where there is a parameter of this name, which the function with these parameters has not; `None` where no stage has one.
pub(in super::super) fn elsewhere(name: &str, function: &str, parameters: &[String]) -> Option<String> {
    let around = Around { name: function, parameters: parameters.iter().map(String::as_str).collect() };
    parameter(name, &around)
}

/// A parameter that functions of other stages have.
fn parameter(name: &str, around: &Around<'_>) -> Option<String> {
    let has = |stage: &Stage| language::parameters(*stage).iter().any(|parameter| parameter.name == name);
    let stages: Vec<_> = Stage::ALL.into_iter().filter(has).map(Stage::name).collect();
    if stages.is_empty() {
        return None;
    }
    Some(match around.stage() {
        Some((stage, own)) if own.iter().any(|own| own.name == name) => {
            let names: Vec<_> = own.iter().map(|own| own.name).collect();
            format!("name it where the function begins: `fn {stage}({})`", names.join(", "))
        }
        Some((stage, _)) => format!("there is no `{name}` at {stage}; there is one at {}", stages.join(", ")),
        None => {
            let names: Vec<_> = around.parameters.iter().copied().chain([name]).collect();
            format!("a function sees what it is given: write `fn {}({})`", around.name, names.join(", "))
        }
    })
}

/// Where something of this name hangs on a stage's parameter.
fn path(name: &str, around: &Around<'_>) -> Option<String> {
    let own: Vec<_> = around.stage().map_or_else(
        || all_parameters().filter(|parameter| around.parameters.contains(&parameter.name)).collect(),
        |(_, own)| own.iter().collect(),
    );
    let here = paths(name, own.into_iter());
    if !here.is_empty() {
        return Some(format!("did you mean {}?", one_of(&here)));
    }
    let elsewhere = paths(name, all_parameters());
    let first = elsewhere.first()?.split('.').next()?;
    let has = |stage: &Stage| language::parameters(*stage).iter().any(|parameter| parameter.name == first);
    let stages: Vec<_> = Stage::ALL.into_iter().filter(has).map(Stage::name).collect();
    Some(format!("it is {}, which is there at {}", one_of(&elsewhere), stages.join(", ")))
}

fn one_of(paths: &[String]) -> String {
    let quoted: Vec<_> = paths.iter().take(MAX_PATHS).map(|path| format!("`{path}`")).collect();
    quoted.join(" or ")
}

/// Every parameter of a stage's function, once.
fn all_parameters() -> impl Iterator<Item = &'static Parameter> {
    let mut seen = Vec::new();
    let all = Stage::ALL.into_iter().flat_map(language::parameters);
    all.filter(move |parameter| {
        let is_new = !seen.contains(&parameter.name);
        seen.push(parameter.name);
        is_new
    })
}

/// The shortest paths from parameters to a property of this name.
fn paths(name: &str, from: impl Iterator<Item = &'static Parameter>) -> Vec<String> {
    let object = |kind| match kind {
        Type::Object(object) => object_named(object),
        _ => None,
    };
    let mut open: Vec<(String, &'static Object)> =
        from.filter_map(|parameter| Some((parameter.name.to_owned(), object(parameter.kind)?))).collect();
    for _ in 0..MAX_STEPS {
        let here = open.iter().filter(|(_, object)| object.property(name).is_some());
        let found: Vec<_> = here.map(|(path, _)| format!("{path}.{name}")).collect();
        if !found.is_empty() {
            return found;
        }
        let below = open.iter().flat_map(|(path, on)| {
            let objects = on.properties.iter().filter_map(|next| Some((next.name, object(next.kind)?)));
            objects.map(move |(next, object)| (format!("{path}.{next}"), object))
        });
        open = below.collect();
    }
    Vec::new()
}

/// The parameters of all functions of a script, and its variables: what one that is not there was most likely meant to be.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let lists = text.split("fn ").skip(1).filter_map(|function| function.split_once('(')?.1.split_once(')'));
    let variables = text.split("let ").skip(1).map(first_word).filter(|name| !name.is_empty());
    lists.flat_map(|(list, _)| split(list)).chain(variables)
}

fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// The text in front of a place; all of it where the place is not known.
pub(super) fn before(text: &str, position: Position) -> &str {
    let offset = offset(text, position);
    offset.and_then(|offset| text.get(..offset)).unwrap_or(text)
}

/// The text from a place on; nothing where it is not known.
pub(super) fn rest(text: &str, position: Position) -> &str {
    offset(text, position).and_then(|offset| text.get(offset..)).unwrap_or_default()
}

/// The line of a place.
pub(super) fn line_at(text: &str, position: Position) -> &str {
    let number = position.line().and_then(|line| line.checked_sub(1));
    number.and_then(|number| text.lines().nth(number)).unwrap_or_default()
}

/// The place behind the last line of `text` that is no comment, and where on it the code ends.
pub(super) fn end_of_code(text: &str) -> Option<Position> {
    let code = |line: &str| {
        let comment = line.match_indices("//").map(|(at, _)| at);
        let mut outside =
            comment.filter(|at| line.get(..*at).is_some_and(|head| head.matches('"').count() % 2 == 0));
        outside.next().and_then(|at| line.get(..at)).unwrap_or(line).trim_end().chars().count()
    };
    let lines: Vec<_> = text.lines().map(code).collect();
    let (number, len) = lines.iter().enumerate().rev().find(|(_, len)| **len > 0)?;
    Some(Position::new((number + 1).try_into().ok()?, (len + 1).try_into().ok()?))
}

/// The word at a place; empty where there is none.
fn word_at(text: &str, position: Position) -> &str {
    first_word(rest(text, position))
}

/// The word at the beginning; empty where there is none.
pub(super) fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !is_of_word(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// The word at the end.
fn last_word(text: &str) -> &str {
    let begin = text.trim_end_matches(is_of_word).len();
    text.get(begin..).unwrap_or_default()
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where a place is in the text, in octets.
pub(super) fn offset(text: &str, position: Position) -> Option<usize> {
    let (line, column) = (position.line()?.checked_sub(1)?, position.position()?.checked_sub(1)?);
    let before_line: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let within = text.get(before_line..)?.chars().take(column).map(char::len_utf8).sum::<usize>();
    Some(before_line + within)
}

/// `text` with a number in place of the variable `name` at `position`, all else where it was. `None` when it is not there.
pub(super) fn written_over(text: &str, position: Position, name: &str) -> Option<String> {
    let (head, tail) = text.split_at_checked(offset(text, position)?)?;
    let rest = tail.strip_prefix(name)?;
    Some(format!("{head}0{}{rest}", " ".repeat(name.chars().count().checked_sub(1)?)))
}
