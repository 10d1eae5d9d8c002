//! What the real servers of the tests have in common: how they start and end, their mailboxes and their logs.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};

use super::programs::missing;
use super::{SOON, tail, until};

/// Starts a server, whose words go to the file `output`. It runs as soon as `answer` has something.
#[track_caller]
pub(super) fn start<T>(mut command: Command, output: &Path, answer: impl Fn() -> Option<T>) -> Child {
    let program = command.get_program().to_string_lossy().into_owned();
    let file = File::options().create(true).append(true).open(output).unwrap();
    // A process group of its own, so that all of it can be killed at once.
    command.process_group(0).stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    let mut server = command.spawn().unwrap_or_else(|error| missing(&program, &error));
    until(&format!("{program} to answer"), SOON, || {
        let ended = server.try_wait().unwrap();
        assert!(ended.is_none(), "{program} ended: {}", tail(output, 20));
        answer()
    });
    server
}

/// Ends all processes of a server at once, as a crash of the machine would.
pub(super) fn kill(mut server: Child) {
    let group = Pid::from_raw(i32::try_from(server.id()).unwrap()).unwrap();
    // It may have ended by itself.
    _ = rustix::process::kill_process_group(group, Signal::KILL);
    server.wait().unwrap();
}

/// The messages in a mailbox, a Maildir below `boxes`, as soon as there are so many.
#[track_caller]
pub(super) fn delivered(boxes: &Path, to: &str, count: usize) -> Vec<Vec<u8>> {
    let new = boxes.join(to).join("new");
    let files = || fs::read_dir(&new).into_iter().flatten().map(|entry| entry.unwrap().path());
    until(&format!("{count} messages to {to}"), SOON, || (files().count() >= count).then_some(()));
    let messages: Vec<Vec<u8>> = files().map(|file| fs::read(file).unwrap()).collect();
    assert_eq!(messages.len(), count, "messages to {to}");
    messages
}

/// The first line of `log` that has all these words, as soon as it is there.
#[track_caller]
pub(super) fn logged(log: impl Fn() -> String, words: &[&str]) -> String {
    until(&format!("{words:?} in the log"), SOON, || {
        let log = log();
        let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)))?;
        Some(line.to_owned())
    })
}
