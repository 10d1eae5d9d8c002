//! The commands of the program: what is asked for, what is shown, and the exit status.
//!
//! Exit status 0 means yes, 1 no, 2 that the command line was not understood, 3 that nobody serves. `status` and `doctor`
//! have those of monitoring plugins: 0 all is well, 1 a warning, 2 mail does not flow, 3 nobody can tell. `replay`, whose 1 says that
//! something changes, has 4 where it could not tell.

mod check;
mod definitions;
mod desk;
mod doctor;
mod endpoint;
mod estate;
mod explain;
mod fixed;
mod house;
mod init;
mod opening;
mod probes;
mod quarantine;
mod rehearse;
mod reload;
mod replay;
mod rules;
mod run;
mod screen;
mod seal_key;
mod shell;
mod status;
mod test;
mod trace;
mod volume;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{self, Loaded};
use crate::diagnostic::Diagnostic;

use endpoint::{At, Endpoint};
use screen::{Format, Screen, tally};

/// A transparent SMTP policy proxy: checks SPF, DKIM and DMARC, lets Rhai scripts decide, forwards in the same session.
#[derive(Debug, Parser)]
#[command(name = "gatepost", version, disable_help_subcommand = true)]
struct Arguments {
    /// The configuration file [default: /etc/gatepost/gatepost.yaml, else config/gatepost.yaml]
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM; this is what happens when no command is given
    Run,
    /// Say everything that is wrong with the configuration and the policies, and change nothing
    Check {
        /// How to say it: for people, as one JSON array, or as the commands that GitHub reads
        #[arg(long, value_enum, value_name = "FORMAT", default_value_t = check::Format::Text)]
        format: check::Format,
        /// What else to take for a reason to say no
        #[arg(long, value_enum, value_name = "WHAT")]
        deny: Option<check::Denied>,
        /// Look at DNS and the upstreams too, as `doctor` does; for people
        #[arg(long)]
        online: bool,
    },
    /// Run transcripts through the configured policies, without a network
    Test(test::Wanted),
    /// Say what every rule of the policies is, what its mode is and why
    Rules {
        #[command(flatten)]
        at: At,
        /// How it is written
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// Ask the process that serves how it does
    Status {
        #[command(flatten)]
        at: At,
        /// How the answer looks
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// Have the process that serves read configuration, policies and certificates again
    Reload {
        #[command(flatten)]
        at: At,
        /// Wait for it, and say what changed
        #[arg(long)]
        wait: bool,
        /// How the answer looks
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// Say why something was decided as it was, and what would have had to be different
    Explain(Box<explain::Wanted>),
    /// Follow sessions as they go on, as lines of a transcript
    Trace(trace::Wanted),
    /// Say what would change if recorded decisions were asked of other policies; status 1 if anything would, 4 if nobody can tell
    Replay {
        /// Files of decisions [default: the configured one and those put aside from it]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The folder of the other policies
        #[arg(long, value_name = "DIR")]
        policies: PathBuf,
        /// How the answer looks
        #[arg(long, value_enum, default_value_t)]
        format: explain::Format,
    },
    /// Let the log of the process that serves say more or less, until the next start
    Log {
        #[command(flatten)]
        at: At,
        /// off, error, warn, info, debug, trace, or parts apart (info,gatepost::dns=debug); or `configured`
        #[arg(value_name = "LEVEL")]
        level: String,
    },
    /// Write Rhai definition files of everything that policies may say, for editors
    Definitions {
        /// The folder that takes them
        #[arg(value_name = "DIR", required_unless_present = "reference")]
        dir: Option<PathBuf>,
        /// Show the reference for people instead, as Markdown
        #[arg(long, conflicts_with = "dir")]
        reference: bool,
    },
    /// Look at all that the configuration depends on: ports, clock, DNS, mail servers, certificates, and whether this is an open relay
    Doctor {
        /// How the answer looks
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// Write a configuration, the shipped policies and a test to begin with
    Init(init::Wanted),
    /// Show the JSON Schema of the configuration, for editors
    Schema,
    /// Show what makes a shell complete the arguments of this program
    Completions {
        /// The shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Show the manual page of this program, or write those of all its commands
    Man {
        /// The folder that takes the pages
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Look at the mail that policies keep back, let it go, or delete it
    Quarantine {
        #[command(subcommand)]
        order: quarantine::Order,
    },
}

/// Why a command ends otherwise than well.
#[derive(Debug)]
enum Failure {
    /// The operator was already told.
    Shown,
    /// The operator is still to be told.
    Untold(anyhow::Error),
    /// Nobody serves who could be asked, or nobody can be asked whether somebody does.
    NoDaemon(anyhow::Error),
    /// The answer is this exit status.
    Answered(u8),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Untold(error.into())
    }
}

/// Does what the command line asks for; the whole of the program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(usage) => {
            // Help and version come this way too. Where they cannot be written, there is nobody to tell.
            _ = usage.print();
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2));
        }
    };
    let screen = Screen::of_the_process();
    match dispatch(&arguments, screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Shown) => ExitCode::FAILURE,
        Err(Failure::Answered(status)) => ExitCode::from(status),
        Err(Failure::NoDaemon(error)) => {
            screen.error(&error);
            ExitCode::from(3)
        }
        Err(Failure::Untold(error)) => {
            screen.error(&error);
            ExitCode::from(status_of_failure(arguments.command.as_ref()))
        }
    }
}

/// The exit status of a command that failed.
const fn status_of_failure(command: Option<&Command>) -> u8 {
    if matches!(command, Some(Command::Replay { .. })) { 4 } else { 1 }
}

fn dispatch(arguments: &Arguments, screen: Screen) -> Result<(), Failure> {
    let command = arguments.command.as_ref().unwrap_or(&Command::Run);
    if let Some(answer) = without_configuration(command, screen) {
        return answer;
    }
    if let Some(answer) = asking(arguments.config.as_deref(), command, screen) {
        return answer;
    }
    let path = config::find(arguments.config.as_deref())?;
    match command {
        Command::Run => run::run(&path, screen),
        Command::Check { format, deny, online } => {
            check::check(&path, *format, deny.is_some(), screen)?;
            if *online { doctor::online(&path, screen) } else { Ok(()) }
        }
        Command::Doctor { format } => doctor::doctor(&path, *format, screen),
        Command::Replay { files, policies, format } => {
            replay::run(load_quietly(&path, screen)?, files, policies, *format, screen)
        }
        Command::Test(wanted) => {
            let load = || load(&path, |found| screen.diagnostics(found));
            test::test(load()?, wanted, screen, load)
        }
        // Answered above.
        Command::Init(_)
        | Command::Definitions { .. }
        | Command::Schema
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Status { .. }
        | Command::Reload { .. }
        | Command::Log { .. }
        | Command::Trace(_)
        | Command::Rules { .. }
        | Command::Explain(_)
        | Command::Quarantine { .. } => Ok(()),
    }
}

/// Does what asks the process that serves, or looks at what it keeps: also while the configuration is broken, which it outlives. `None`
/// for everything else.
fn asking(config: Option<&Path>, command: &Command, screen: Screen) -> Option<Result<(), Failure>> {
    let endpoint = |at: &At| Endpoint::find(config, at, screen);
    let whole = || load_quietly(&config::find(config)?, screen);
    Some(match command {
        Command::Status { at, format } => status::status(endpoint(at), *format, screen),
        Command::Reload { at, wait, format } => {
            endpoint(at).and_then(|endpoint| reload::reload(&endpoint, *wait, *format, screen))
        }
        Command::Log { at, level } => {
            endpoint(at).and_then(|endpoint| volume::volume(&endpoint, level, screen))
        }
        Command::Trace(wanted) => {
            endpoint(wanted.at()).and_then(|endpoint| trace::run(&endpoint, wanted.clone(), screen))
        }
        Command::Rules { at, format } => {
            rules::rules(whole(), endpoint(at).ok(), at.endpoint().is_some(), *format, screen)
        }
        Command::Explain(wanted) => {
            explain::run(config, wanted.as_ref().clone(), screen, || Ok(whole()?.settings))
        }
        Command::Quarantine { order } => endpoint::glimpse(config, screen)
            .and_then(|seen| quarantine::quarantine(&seen, order, screen, || Ok(whole()?.settings))),
        _ => return None,
    })
}

/// Does what asks for the same answer whatever is configured; `None` for everything else.
fn without_configuration(command: &Command, screen: Screen) -> Option<Result<(), Failure>> {
    match command {
        Command::Definitions { dir: Some(dir), .. } => Some(definitions::definitions(dir, screen)),
        Command::Definitions { dir: None, .. } => {
            definitions::reference(screen);
            Some(Ok(()))
        }
        Command::Init(wanted) => Some(init::init(wanted, screen)),
        Command::Schema => {
            shell::schema(screen);
            Some(Ok(()))
        }
        Command::Completions { shell } => {
            shell::completions(Arguments::command(), *shell, screen);
            Some(Ok(()))
        }
        Command::Man { dir } => Some(shell::man(&Arguments::command(), dir.as_deref(), screen)),
        _ => None,
    }
}

/// The configuration at `path`; what is wrong with it, or only odd, goes to `show`.
fn load(path: &Path, show: impl Fn(&[Diagnostic])) -> Result<Loaded, Failure> {
    match config::load(path) {
        Ok(loaded) => {
            show(&loaded.warnings);
            Ok(loaded)
        }
        Err(found) => {
            show(&found);
            Err(Failure::Untold(anyhow!("{} cannot be used: {}", path.display(), tally(&found))))
        }
    }
}

/// The same for those whose answer is about something else: what is only odd, `check` says.
fn load_quietly(path: &Path, screen: Screen) -> Result<Loaded, Failure> {
    let fatal = |found: &[Diagnostic]| found.iter().any(Diagnostic::is_error);
    load(path, |found| {
        if fatal(found) {
            screen.diagnostics(found)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_configuration_may_be_named_before_or_behind_the_command() {
        for line in [["gatepost", "-c", "x.yaml", "check"], ["gatepost", "check", "--config", "x.yaml"]] {
            let arguments = Arguments::try_parse_from(line).unwrap();
            assert_eq!(arguments.config.as_deref(), Some(Path::new("x.yaml")));
            assert!(matches!(arguments.command, Some(Command::Check { .. })));
        }
    }
}
