//! A real Exim, from Debian's package, unpacked beside Postfix by `tests/run`: the two exclude each other as packages.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use tempfile::TempDir;

use super::programs::missing;
use super::{folder, free_port, repository, server};

/// Below the folder of the project, where `tests/run` unpacks the packages.
const UNPACKED: &str = "target/tests/exim";
/// Its user is built in by name (`Debian-exim`), which this machine does not have, and must not be root.
const WRAPPER: &str = "libnss_wrapper.so";
const NOBODY: u32 = 65534;

/// An Exim that takes mail for suzie and joe at example.org, and for nobody else, into Maildirs.
#[derive(Debug)]
pub(crate) struct Exim {
    folder: TempDir,
    port: u16,
    daemon: Option<Child>,
}

impl Exim {
    /// One that takes clients as they come.
    pub(crate) fn plain() -> Self {
        Self::configured("")
    }

    /// One that demands a PROXY header of either version on every connection from this machine.
    pub(crate) fn behind_proxy() -> Self {
        Self::configured("hosts_proxy = 127.0.0.1\nlog_selector = +proxy +incoming_port")
    }

    fn configured(more: &str) -> Self {
        let (folder, port) = (folder("exim"), free_port());
        let exim = repository().join(UNPACKED).join("usr/sbin/exim4");
        lay_out(folder.path(), port, &exim, more);
        let mut command = Command::new(&exim);
        command.arg("-C").arg(folder.path().join("exim.conf")).arg("-bdf");
        command.env("LD_PRELOAD", wrapper());
        command.env("NSS_WRAPPER_PASSWD", folder.path().join("passwd"));
        command.env("NSS_WRAPPER_GROUP", folder.path().join("group"));
        let daemon = server::start(command, &folder.path().join("output"), || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { folder, port, daemon: Some(daemon) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        let logs = ["main", "reject", "panic"].map(|name| self.folder.path().join("log").join(name));
        logs.iter().filter_map(|log| fs::read_to_string(log).ok()).collect()
    }

    /// The first line of the log that has all these words, as soon as it is there.
    #[track_caller]
    pub(crate) fn logged(&self, words: &[&str]) -> String {
        server::logged(|| self.log(), words)
    }

    /// The messages that were delivered to this recipient, as soon as there are so many.
    #[track_caller]
    pub(crate) fn delivered(&self, to: &str, count: usize) -> Vec<Vec<u8>> {
        server::delivered(&self.folder.path().join("box"), to, count)
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            server::kill(daemon);
        }
        if std::thread::panicking() {
            eprintln!("== Exim's log\n{}", self.log());
        }
    }
}

/// The library that gives Exim its user. Where it lies depends on the machine's architecture.
fn wrapper() -> PathBuf {
    let libraries = repository().join(UNPACKED).join("usr/lib");
    let folders = fs::read_dir(&libraries).into_iter().flatten().map(|entry| entry.unwrap().path());
    let found = folders.map(|folder| folder.join(WRAPPER)).find(|file| file.exists());
    found.unwrap_or_else(|| missing(WRAPPER, &io::ErrorKind::NotFound.into()))
}

fn lay_out(folder: &Path, port: u16, exim: &Path, more: &str) {
    let root = rustix::process::getuid().is_root();
    let user = if root { NOBODY } else { rustix::process::getuid().as_raw() };
    for name in ["spool", "box", "log"] {
        let path = folder.join(name);
        fs::create_dir(&path).unwrap();
        if root {
            chown(&path, Some(user), Some(user)).unwrap();
        }
    }
    let passwd =
        format!("root:x:0:0::/:/bin/sh\nDebian-exim:x:{user}:{user}::/:/bin/sh\nmail:x:8:8::/:/bin/sh\n");
    fs::write(folder.join("passwd"), passwd).unwrap();
    fs::write(folder.join("group"), format!("root:x:0:\nDebian-exim:x:{user}:\nmail:x:8:\n")).unwrap();
    fs::write(folder.join("exim.conf"), configuration(folder, port, exim, more)).unwrap();
}

fn configuration(folder: &Path, port: u16, exim: &Path, more: &str) -> String {
    let (folder, exim) = (folder.display(), exim.display());
    format!(
        "exim_path = {exim}
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
primary_hostname = mail.example.org
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s
pid_file_path = {folder}/spool/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
deliver_drop_privilege = true
host_lookup =
rfc1413_hosts =
tls_advertise_hosts =
message_size_limit = 100M
acl_smtp_rcpt = rcpt
{more}
begin acl
rcpt:
  accept domains = example.org
         local_parts = suzie : joe
  deny message = unknown user
begin routers
ours:
  driver = accept
  local_parts = suzie : joe
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = {folder}/box/$local_part_data
  maildir_format
  create_directory
  delivery_date_add
  envelope_to_add
  return_path_add
  user = Debian-exim
  group = Debian-exim
"
    )
}
