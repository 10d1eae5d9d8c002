//! Programs that run to their end, with a limit.

use std::fmt::{self, Display};
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::until;

/// How long a program may run.
const LIMIT: Duration = Duration::from_secs(60);

/// A program to run, such as swaks or curl.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    name: String,
    input: Vec<u8>,
}

/// How a program ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Program {
    /// The program of this name, from wherever Debian puts it.
    pub(crate) fn new(name: &str) -> Self {
        let mut command = Command::new(name);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("LC_ALL", "C");
        Self { command, name: name.to_owned(), input: Vec::new() }
    }

    /// Adds arguments, cut at spaces.
    pub(crate) fn words(mut self, words: &str) -> Self {
        self.command.args(words.split_ascii_whitespace());
        self
    }

    /// Adds one argument as it is.
    pub(crate) fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// What it reads from its standard input, which then ends.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs it to its end, whatever that is.
    pub(crate) fn run(mut self) -> Finished {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|error| missing(&self.name, &error));
        let mut stdin = child.stdin.take().unwrap();
        let input = self.input;
        // A program that does not read its input to the end is no error.
        let writer = thread::spawn(move || drop(stdin.write_all(&input)));
        let (output, errors) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
        let status = wait(&mut child, &self.name);
        writer.join().unwrap();
        Finished { status, output: output.join().unwrap(), errors: errors.join().unwrap() }
    }

    /// Runs it to its end, which has to be a good one.
    #[track_caller]
    pub(crate) fn succeed(self) -> Finished {
        let name = self.name.clone();
        let finished = self.run();
        assert!(finished.status.success(), "{name} failed:\n{finished}");
        finished
    }
}

impl Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}", self.status, self.output, self.errors)
    }
}

/// Fails the test of someone who has not run `tests/run`.
pub(super) fn missing(name: &str, error: &std::io::Error) -> ! {
    panic!("{name} cannot be started ({error}): tests/run installs the Debian packages that the tests need")
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child, name: &str) -> ExitStatus {
    let begin = std::time::Instant::now();
    until(&format!("the end of {name}"), LIMIT * 2, || {
        if begin.elapsed() > LIMIT {
            child.kill().unwrap();
        }
        child.try_wait().unwrap()
    })
}
