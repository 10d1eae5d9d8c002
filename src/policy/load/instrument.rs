//! A policy that reports which of its statements are reached.
//!
//! Rhai has no hook for that which costs nothing when it is not used, so the text itself is given one: in front of each statement
//! stands the call of a function of the host's, on the same line, so that the lines stay what they are. Where a statement begins
//! is known from the tree, and that it may have something in front from the tokens that the compiler saw: behind `{`, `}` or `;`
//! another statement may stand, while `else if` and `let x = switch ...` are one. What stands behind the `=>` of a `switch` becomes
//! a block with the call in it. A closure without a block, `|x| x + 1`, has no place for one: its line is that of its statement.

use std::sync::{Arc, Mutex, PoisonError};

use rhai::{AST, ASTNode, Engine, Position, Stmt, Token};

use super::super::coverage::{Coverage, Mark};
use super::file::ScriptFile;
use super::survey::{begins, earliest};

mod arms;

use arms::{Arm, Piece};

/// The name of the function that reports. No policy can call it: the checks know no such name.
const REACHED: &str = "gatepost_reached";

/// What makes policies report.
pub(super) struct Instrument {
    coverage: Arc<Coverage>,
    /// Each token of the last script.
    tokens: Arc<Mutex<Vec<(Place, Piece)>>>,
    /// By the numbers that stand in the texts.
    marks: Arc<Mutex<Vec<Mark>>>,
}

/// Line and column, from 1.
type Place = (usize, usize);

impl Instrument {
    /// Prepares `engine`, whose own names were listed before.
    pub(super) fn new(engine: &mut Engine, coverage: Arc<Coverage>) -> Self {
        let (tokens, marks) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<Mark>>>::default());
        let seen = Arc::clone(&tokens);
        #[expect(deprecated, reason = "Rhai marks so what may change; the tests of this file would tell")]
        engine.on_parse_token(move |token, position, _| {
            if let Some(place) = place(position).filter(|_| !matches!(token, Token::Comment(..))) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push((place, Piece::of(&token)));
            }
            token
        });
        let known = Arc::clone(&marks);
        engine.register_fn(REACHED, move |number: i64| {
            let marks = known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(mark) = usize::try_from(number).ok().and_then(|number| marks.get(number)) {
                mark.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        });
        Self { coverage, tokens, marks }
    }

    /// Forgets the tokens of earlier scripts: the next one is about to be compiled.
    pub(super) fn begin(&self) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The tree to run in place of `ast`, which was compiled from `file` just now.
    pub(super) fn reporting(&self, engine: &Engine, file: &ScriptFile, ast: AST) -> AST {
        let tokens = std::mem::take(&mut *self.tokens.lock().unwrap_or_else(PoisonError::into_inner));
        let places = places(&ast, &tokens);
        let lines: Vec<usize> = places.iter().map(|((line, _), _)| *line).collect();
        let Some(own) = self.coverage.marks(&file.name, &file.text, &lines) else { return ast };
        let first = {
            let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
            marks.extend(own);
            marks.len() - places.len()
        };
        // What does not compile any more is run as it was, and its lines show as never reached.
        engine.compile(instrumented(&file.text, &places, first)).map_or(ast, |mut reporting| {
            reporting.set_source(&*file.name);
            reporting
        })
    }
}

/// Where reports belong, in order; in an arm with the place where it ends, as it has to become a block.
fn places(ast: &AST, tokens: &[(Place, Piece)]) -> Vec<(Place, Option<Place>)> {
    let statements = statements(ast, tokens).into_iter().map(|place| (place, None));
    let arms = arms::find(tokens).into_iter().map(|Arm { begins, ends }| (begins, Some(ends)));
    let mut places: Vec<_> = statements.chain(arms).collect();
    places.sort_unstable();
    places
}

/// Where statements of functions begin that may have another one in front.
fn statements(ast: &AST, tokens: &[(Place, Piece)]) -> Vec<Place> {
    let mut places = Vec::new();
    ast.clone_functions_only().walk(&mut |path| {
        if let Some(ASTNode::Stmt(statement)) = path.last() {
            places.extend(start(statement).and_then(place));
        }
        true
    });
    places.sort_unstable();
    places.dedup();
    let behind = |place: &Place| {
        let at = tokens.iter().position(|(token, _)| token == place)?;
        tokens.get(at.checked_sub(1)?).map(|(_, piece)| piece.ends_statement())
    };
    places.retain(|place| behind(place) == Some(true));
    places
}

/// Where a statement begins; `None` for what stands nowhere in the text.
fn start(statement: &Stmt) -> Option<Position> {
    match statement {
        Stmt::Noop(_) | Stmt::Share(_) => None,
        Stmt::Expr(expression) => Some(begins(expression)),
        Stmt::FnCall(call, position) => Some(earliest(*position, &call.args)),
        Stmt::Assignment(assignment) => Some(begins(&assignment.1.lhs)),
        other => Some(other.position()),
    }
}

fn place(position: Position) -> Option<Place> {
    Some((position.line()?, position.position()?))
}

/// The text with a report at each place, numbered from `first` on.
fn instrumented(text: &str, places: &[(Place, Option<Place>)], first: usize) -> String {
    let mut additions: Vec<(Place, String)> =
        places.iter().filter_map(|(_, end)| Some((*end.as_ref()?, "}".into()))).collect();
    let reports = places.iter().zip(first..).map(|((place, end), number)| {
        let begin = if end.is_some() { "{" } else { "" };
        (*place, format!("{begin}{REACHED}({number});"))
    });
    additions.extend(reports);
    additions.sort_by_key(|(place, _)| *place);
    let mut additions = additions.iter().peekable();
    let mut out = String::with_capacity(text.len() * 2);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        for (column, character) in line.chars().enumerate() {
            while let Some((_, addition)) = additions.next_if(|(place, _)| *place == (index + 1, column + 1))
            {
                out += addition;
            }
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::policy::scene::{AuthScene, ClientScene, Moment, Scene, SessionScene};
    use crate::policy::{Memory, Policies, Sources, Step};

    const SCRIPT: &str = r#"//! About.
const SETTINGS = #{ "a": 5 };
/// Every form of a statement; nothing is in front of those that are parts of another.
fn connect(session) {
    let a = switch 1 { 1 => { let x = 2; x } _ => 3 }; // let y = {;
    if a == 3 { a = 4; } else if a == 2 {
        a += 1; a += 1;
    } else {
        a = 0;
    }
    let text = `{; ${ if a > 1 { "x" } else { "y" } };`;
    (a + 1).to_string();
    for i in 0..3 { if i == 1 { continue; } let b = [1, 2].map(|e| e + 1); }
    helper(a) && a in [4]
}
fn helo(session) {
    let kinds = switch session.hostname { "x" => #{ a: 1 }, "mx.example.org" => #{ a: "}" }, _ => () };
    switch kinds.a {
        "{" => helper(4), /* } */
        "}" if session.helo == "never" => [1, 2], // =>
        "}" => if kinds.len() == 1 { helper(4) } else { helper(9) }
        "y" | "z" => `${ if true { "," } else { "" } }`,
        "v" | "w" =>
            switch 5 { 5 => 6, _ => 7 },
        _ => ()
    }
}
fn helper(n) {
    if n == 4 { return true; }
    while n > 0 { n -= 1; }
    false
}
"#;

    const UNREACHED: [usize; 13] = [5, 6, 9, 11, 17, 19, 20, 21, 22, 24, 25, 30, 31];

    #[test]
    fn statements_that_are_reached_are_known_and_mean_what_they_meant() {
        let dir = tempfile::tempdir().unwrap();
        let relay = "const GATE = true;\nfn rcpt(session, mail, rcpt) {\n    reject(\"no\", \"no\");\n}\n";
        fs::write(dir.path().join("00-relay.rhai"), relay).unwrap();
        fs::write(dir.path().join("10-x.rhai"), SCRIPT).unwrap();
        let coverage = Arc::new(Coverage::default());
        let sources = Sources {
            dir: dir.path().to_owned(),
            coverage: Some(Arc::clone(&coverage)),
            ..Sources::default()
        };
        let policies = Arc::new(Policies::load(&sources).unwrap());
        for moment in [Moment::Connect, Moment::Helo] {
            let scene = Scene { session: Arc::new(session()), moment };
            let mut memory = Memory::default();
            let mut run = policies.begin(scene, &memory);
            assert_eq!(run.step(), Step::Done);
            assert_eq!(run.finish(&mut memory).errors, []);
        }
        let [relay, own] = coverage.files().try_into().unwrap();
        assert_eq!((relay.lines, relay.unreached), (1, vec![3]));
        // `_ => 3`, `a = 4`, `a = 0` and `"y"` were not reached, nor were arms for other hosts and texts, and `helper(9)`;
        // `return true` was, so what follows it was not.
        assert_eq!(own.unreached, UNREACHED, "{own:?}");
        assert_eq!(coverage.silent_rules(), (vec!["relay.no".into()], 1));
    }

    fn session() -> SessionScene {
        SessionScene {
            id: String::new(),
            listener: "mx".into(),
            hostname: "mx.example.org".into(),
            client: ClientScene { ip: [192, 0, 2, 1].into(), port: 4711, name: String::new() },
            server_ip: None,
            helo: String::new(),
            helo_verb: "",
            trusted: false,
            auth: AuthScene::default(),
            tls: None,
            recipients_refused: 0,
            errors: 0,
            transactions: 0,
        }
    }

    #[test]
    fn another_text_of_the_same_name_is_another_file() {
        let coverage = Coverage::default();
        let (name, text): (Arc<str>, Arc<str>) = ("10-x.rhai".into(), "one".into());
        assert_eq!(coverage.marks(&name, &text, &[1, 2]).unwrap().len(), 2);
        assert!(coverage.marks(&name, &"another".into(), &[1]).is_none());
        assert_eq!(coverage.marks(&name, &text, &[1, 2]).unwrap().len(), 2);
    }
}
