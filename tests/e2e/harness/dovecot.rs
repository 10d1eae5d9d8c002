//! A real Dovecot, from Debian's package, that knows who may log in and nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{folder, server, signal, tail};

/// Dovecot's SASL service for a Postfix.
#[derive(Debug)]
pub(crate) struct Dovecot {
    folder: TempDir,
    master: Child,
}

impl Dovecot {
    /// One that knows these users and their passwords.
    pub(crate) fn with_users(users: &[(&str, &str)]) -> Self {
        let folder = folder("dovecot");
        let lines: String =
            users.iter().map(|(user, password)| format!("{user}:{{PLAIN}}{password}\n")).collect();
        fs::write(folder.path().join("users"), lines).unwrap();
        let configuration = folder.path().join("dovecot.conf");
        fs::write(&configuration, configuration_in(&folder)).unwrap();
        let mut command = Command::new("/usr/sbin/dovecot");
        command.arg("-F").arg("-c").arg(&configuration);
        let socket = folder.path().join("auth");
        let master = server::start(command, &folder.path().join("output"), || socket.exists().then_some(()));
        Self { folder, master }
    }

    /// The socket of its service.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("auth")
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        signal(self.master.id(), Signal::TERM);
        _ = self.master.wait();
        if std::thread::panicking() {
            eprintln!("== Dovecot's log\n{}", tail(&self.folder.path().join("log"), 20));
        }
    }
}

fn configuration_in(folder: &TempDir) -> String {
    let folder = folder.path().display();
    format!(
        "base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 scram-sha-256
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
"
    )
}
