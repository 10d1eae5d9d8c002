//! Reading a transcript: from text to a script of steps, or to everything that is wrong with it at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Position};
use crate::files;

use super::pattern::{Pattern, ReplyLine};
use super::setup::{self, OwnPolicy, Setup};
use super::state::StateChange;
use super::steps::{Action, Assertion, STEPS, heard, step};
use super::upstream;
use super::words::{Mistake, Word, Words};
use super::zone::DnsChange;
use crate::upstream::simulated::{Act, Cue, Rule};

/// A transcript that can be run.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) file: PathBuf,
    pub(super) setup: Setup,
    pub(super) steps: Vec<Step>,
}

/// One thing to do or to look at, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) action: Action,
}

/// How deep `include` may nest.
const MAX_INCLUDES: usize = 4;
/// The largest file that is read.
const MAX_FILE: u64 = 64 << 20;

impl Script {
    /// Reads the transcript `file` and what it includes.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn load(file: &Path) -> Result<Self, Vec<Diagnostic>> {
        let text = read_text(file).map_err(|problem| vec![Diagnostic::error(file, problem)])?;
        Self::parse(file, &text)
    }

    /// Reads `text` as the transcript `file`.
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut parser = Parser::new(file, text, Setup::default(), 0);
        parser.lines();
        if parser.steps.is_empty() && parser.problems.is_empty() {
            parser.problems.push(Diagnostic::error(file, "the transcript has no dialogue"));
        }
        if parser.problems.is_empty() {
            let steps = arm(parser.steps);
            Ok(Self { file: file.to_owned(), setup: parser.setup, steps })
        } else {
            Err(parser.problems)
        }
    }
}

fn read_text(file: &Path) -> Result<String, String> {
    files::read_text(file, MAX_FILE).map_err(|error| format!("cannot be read: {error}"))
}

pub(super) fn read_bytes(file: &Path) -> Result<Vec<u8>, String> {
    files::read(file, MAX_FILE).map_err(|error| format!("cannot be read: {error}"))
}

/// A step before its answers are put where they have to be known.
#[derive(Debug)]
enum Draft {
    Step(Step),
    /// `U:` behind a `G:`, perhaps of another upstream.
    Answer(usize, Option<String>, Rule),
}

/// Puts the answers of `U:` lines in front of the client's line that leads to them: the upstream has to know its answer
/// before it is asked.
fn arm(drafts: Vec<Draft>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::with_capacity(drafts.len());
    let mut cause = 0;
    for draft in drafts {
        match draft {
            Draft::Step(step) => {
                let leads = |action: &Action| {
                    matches!(
                        action,
                        Action::Send(_) | Action::Message(_) | Action::Chunk(..) | Action::Wait(_)
                    )
                };
                if leads(&step.action) {
                    cause = steps.len();
                }
                steps.push(step);
            }
            Draft::Answer(line, other, rule) => {
                let action = match other {
                    Some(name) => Action::DirectOther(name, rule),
                    None => Action::Direct(rule),
                };
                steps.insert(cause, Step { line, action });
                cause += 1;
            }
        }
    }
    steps
}

/// What the lines that begin with `|` belong to.
#[derive(Debug)]
enum Block {
    Message,
    Delivered,
    Policy(String),
}

/// A line of a block behind its `|`, and where it begins.
type BlockLine<'a> = (Position, &'a str);

struct Parser<'a> {
    file: &'a Path,
    text: &'a str,
    shared: Arc<str>,
    setup: Setup,
    steps: Vec<Draft>,
    problems: Vec<Diagnostic>,
    block: Option<(Block, Word<'a>, Vec<BlockLine<'a>>)>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(file: &'a Path, text: &'a str, setup: Setup, depth: usize) -> Self {
        let (steps, problems) = (Vec::new(), Vec::new());
        Self { file, text, shared: text.into(), setup, steps, problems, block: None, depth }
    }

    fn lines(&mut self) {
        for (n, line) in self.text.lines().enumerate() {
            if let Err(mistake) = self.line(n + 1, line) {
                self.problem(mistake);
            }
        }
        if let Err(mistake) = self.close_block() {
            self.problem(mistake);
        }
    }

    fn problem(&mut self, mistake: Mistake) {
        self.problems.push(mistake.into_diagnostic(self.file, &self.shared));
    }

    fn line(&mut self, number: usize, line: &'a str) -> Result<(), Mistake> {
        let text = line.trim_start_matches([' ', '\t']);
        let column = line.len() - text.len() + 1;
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        if let Some(content) = text.strip_prefix('|') {
            return self.block_line(Position::new(number, column, 1), content);
        }
        if let Err(mistake) = self.close_block() {
            self.problem(mistake);
        }
        match (text.get(..2), text.get(2..)) {
            (Some("C:"), Some(said)) => {
                self.step(
                    number,
                    Action::Send(format!("{}\r\n", said.strip_prefix(' ').unwrap_or(said)).into_bytes()),
                );
                Ok(())
            }
            (Some(speaker @ ("C>" | "S:" | "U:" | "G:")), Some(said)) => {
                self.spoken(number, speaker, Words::new(said, number, column + 2))
            }
            _ => self.directive(number, Words::new(text, number, column)),
        }
    }

    fn step(&mut self, line: usize, action: Action) {
        self.steps.push(Draft::Step(Step { line, action }));
    }

    fn last_action(&mut self) -> Option<&mut Action> {
        match self.steps.last_mut()? {
            Draft::Step(step) => Some(&mut step.action),
            Draft::Answer(..) => None,
        }
    }

    // === speakers ===

    fn spoken(&mut self, number: usize, speaker: &str, mut words: Words<'a>) -> Result<(), Mistake> {
        match speaker {
            "C>" => {
                let bytes = words.quoted()?;
                words.end()?;
                self.step(number, Action::Send(bytes));
                Ok(())
            }
            "S:" => self.server(number, words),
            "U:" => self.upstream_line(number, words.rest()),
            _ => {
                let other = upstream::name(&mut words);
                let pattern = Pattern::new(words.rest().text);
                self.step(
                    number,
                    other.map_or_else(
                        || Action::Said(pattern.clone()),
                        |name| Action::SaidTo(name, pattern.clone()),
                    ),
                );
                Ok(())
            }
        }
    }

    fn server(&mut self, number: usize, mut words: Words<'a>) -> Result<(), Mistake> {
        if words.peek().starts_with('<') {
            let action = heard(&mut words)?;
            self.step(number, action);
            return Ok(());
        }
        let word = words.rest();
        let line = ReplyLine::new(word.text).ok_or_else(|| {
            word.mistake("a reply begins with its code").with_help("as 250, 5yz, 500|501, or `...`")
        })?;
        match self.last_action() {
            Some(Action::Reply(lines)) if lines.last().is_some_and(ReplyLine::is_continued) => {
                lines.push(line)
            }
            _ => self.step(number, Action::Reply(vec![line])),
        }
        Ok(())
    }

    /// `U:`: the answer to the `G:` line before it; several lines are one answer.
    fn upstream_line(&mut self, number: usize, word: Word<'a>) -> Result<(), Mistake> {
        let said = format!("{}\r\n", word.text).into_bytes();
        match self.steps.last_mut() {
            Some(Draft::Answer(_, _, rule)) => {
                rule.answer.0.push(Act::Say(said));
                Ok(())
            }
            Some(Draft::Step(Step { action: Action::Said(pattern), .. })) => {
                let rule = answer_to(pattern, said);
                self.steps.push(Draft::Answer(number, None, rule));
                Ok(())
            }
            Some(Draft::Step(Step { action: Action::SaidTo(name, pattern), .. })) => {
                let (other, rule) = (Some(name.clone()), answer_to(pattern, said));
                self.steps.push(Draft::Answer(number, other, rule));
                Ok(())
            }
            _ => {
                Err(word.mistake("what the upstream answers stands behind the `G:` line to which it answers"))
            }
        }
    }

    // === directives ===

    fn directive(&mut self, number: usize, mut words: Words<'a>) -> Result<(), Mistake> {
        let name = words.expect("a directive")?;
        if let Some(action) = step(name, &mut words, self.folder())? {
            words.end()?;
            self.step(number, action);
            return Ok(());
        }
        match name.text {
            "include" => self.include(&mut words),
            "policy" | "message" | "delivered" => self.open_block(name, &mut words),
            "dns" | "state" | "upstream" if !self.steps.is_empty() => {
                self.in_dialogue(number, name, &mut words)
            }
            _ => self.world(name, &mut words),
        }
    }

    fn folder(&self) -> &'a Path {
        self.file.parent().unwrap_or_else(|| Path::new(""))
    }

    /// A directive of the world: all of them stand before the first word.
    fn world(&mut self, name: Word<'a>, words: &mut Words<'a>) -> Result<(), Mistake> {
        let folder = self.folder();
        let known = setup::DIRECTIVES.contains(&name.text);
        if known && !self.steps.is_empty() {
            return Err(name.mistake(format!("`{}` has to stand before the dialogue", name.text)));
        }
        if self.setup.read(name, words, folder)? {
            return Ok(());
        }
        Err(Mistake::unknown("directive", name, STEPS.into_iter().chain(setup::DIRECTIVES)))
    }

    fn in_dialogue(&mut self, number: usize, name: Word<'a>, words: &mut Words<'a>) -> Result<(), Mistake> {
        let action = match name.text {
            "dns" => Action::Dns(DnsChange::read(words)?),
            "state" => Action::State(StateChange::read(words)?),
            _ => match upstream::name(words) {
                Some(other) => Action::DirectOther(other, upstream::rule(words)?),
                None => Action::Direct(upstream::rule(words)?),
            },
        };
        words.end()?;
        self.step(number, action);
        Ok(())
    }

    /// `include FILE`: the directives of another file, as if they stood here.
    fn include(&mut self, words: &mut Words<'a>) -> Result<(), Mistake> {
        let name = words.rest();
        if self.depth >= MAX_INCLUDES {
            return Err(name.mistake("files include each other too deeply"));
        }
        let path = self.folder().join(name.text);
        let text =
            read_text(&path).map_err(|problem| name.mistake(format!("{}: {problem}", path.display())))?;
        let setup = std::mem::take(&mut self.setup);
        let mut inner = Parser::new(&path, &text, setup, self.depth + 1);
        inner.lines();
        if !inner.steps.is_empty() {
            inner
                .problems
                .push(Diagnostic::error(&path, "an included file describes the world and has no dialogue"));
        }
        self.setup = inner.setup;
        self.problems.append(&mut inner.problems);
        Ok(())
    }

    // === blocks ===

    fn open_block(&mut self, name: Word<'a>, words: &mut Words<'a>) -> Result<(), Mistake> {
        let block = match name.text {
            "message" => Block::Message,
            "delivered" => Block::Delivered,
            _ => {
                let file = words.expect("the policy's file name")?;
                if !OwnPolicy::can_be(file.text) {
                    let form = "a policy's file is `10-name.rhai`, `domains/example.net/10-name.rhai` or `lib/name.rhai`";
                    return Err(file.mistake(form));
                }
                Block::Policy(file.text.to_owned())
            }
        };
        words.end()?;
        self.block = Some((block, name, Vec::new()));
        Ok(())
    }

    fn block_line(&mut self, position: Position, content: &'a str) -> Result<(), Mistake> {
        let Some((_, _, lines)) = &mut self.block else {
            return Err(Mistake::new(
                position,
                "a line with `|` belongs to `message`, `delivered` or `policy`",
            ));
        };
        let (skipped, content) = content.strip_prefix(' ').map_or((1, content), |content| (2, content));
        lines.push((Position::new(position.line, position.column + skipped, 0), content));
        Ok(())
    }

    fn close_block(&mut self) -> Result<(), Mistake> {
        let Some((block, name, lines)) = self.block.take() else { return Ok(()) };
        if lines.is_empty() {
            return Err(name
                .mistake(format!("`{}` has no lines", name.text))
                .with_help("they begin with `|`"));
        }
        let line = name.position().line;
        match block {
            Block::Message => {
                let text: String = lines.iter().flat_map(|(_, line)| [line, "\r\n"]).collect();
                self.step(line, Action::Message(text.into_bytes()));
            }
            Block::Delivered => {
                let patterns = lines.into_iter().map(|(_, line)| Pattern::new(line)).collect();
                self.step(line, Action::Assert(Assertion::Delivered(patterns)));
            }
            Block::Policy(_) if !self.steps.is_empty() => {
                return Err(name.mistake("`policy` has to stand before the dialogue"));
            }
            Block::Policy(file) => {
                let text: String = lines.iter().flat_map(|(_, line)| [line, "\n"]).collect();
                let stands_in = (self.file.to_owned(), Arc::clone(&self.shared));
                let places = lines.iter().map(|(place, _)| *place).collect();
                self.setup.own_policies.push(OwnPolicy { file, text, stands_in, places });
            }
        }
        Ok(())
    }
}

/// The answer `said` to the command that `pattern` describes.
fn answer_to(pattern: &Pattern, said: Vec<u8>) -> Rule {
    let (cue, pattern) = match pattern.text() {
        "." => (Cue::Dot, None),
        text => (Cue::Any, Some(text.to_owned())),
    };
    Rule { cue, pattern, answer: Act::Say(said).into(), times: Some(1) }
}

#[cfg(test)]
mod tests;
