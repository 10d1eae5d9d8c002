//! What the program says of itself to other programs: the schema of its configuration to editors, completions to shells, and pages to `man`.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::config;

use super::Failure;
use super::screen::{Screen, count};

/// Shows the JSON Schema of the configuration.
pub(super) fn schema(screen: Screen) {
    screen.say(&format!("{:#}", config::schema()));
}

/// Shows what makes `shell` complete the arguments of `program`.
pub(super) fn completions(mut program: Command, shell: Shell, screen: Screen) {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut script);
    screen.say(String::from_utf8_lossy(&script).trim_end());
}

/// Writes a page for each command of `program` into `dir`; without one, shows the page of the program itself.
///
/// # Errors
/// The folder cannot be made or written.
pub(super) fn man(program: &Command, dir: Option<&Path>, screen: Screen) -> Result<(), Failure> {
    let Some(dir) = dir else {
        screen.say(String::from_utf8_lossy(&page(program)?).trim_end());
        return Ok(());
    };
    fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let pages = pages(program)?;
    for (name, text) in &pages {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    screen.say(&format!("{} written to {}", count(pages.len(), "page"), dir.display()));
    Ok(())
}

/// Every page with the name of its file: the program's own, and one for each command, down to the last.
fn pages(program: &Command) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = program.clone();
    program.build();
    let mut open = vec![program];
    let mut pages = Vec::new();
    while let Some(command) = open.pop() {
        open.extend(command.get_subcommands().filter(|command| !command.is_hide_set()).cloned());
        pages.push((Man::new(command.clone()).get_filename(), page(&command)?));
    }
    pages.sort();
    Ok(pages)
}

fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).manual("Gatepost").render(&mut page)?;
    Ok(page)
}
