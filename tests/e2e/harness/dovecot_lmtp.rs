//! A private Dovecot that stores what comes by LMTP.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Child, Command};

use tempfile::TempDir;

use super::{SOON, folder, free_port, server, tail, until};

const DOVECOT: &str = "/usr/sbin/dovecot";
const NOBODY: u32 = 65534;

/// A Dovecot with mailboxes for suzie and joe, at a socket in the file system and at a port. A mailbox has room for 64 KiB.
#[derive(Debug)]
pub(crate) struct DovecotLmtp {
    folder: TempDir,
    port: u16,
    master: Option<Child>,
}

impl DovecotLmtp {
    #[track_caller]
    pub(crate) fn start() -> Self {
        let mut dovecot = Self { folder: folder("dovecot"), port: free_port(), master: None };
        let boxes = dovecot.path("box");
        fs::create_dir(&boxes).unwrap();
        fs::set_permissions(&boxes, fs::Permissions::from_mode(0o700)).unwrap();
        chown(&boxes, Some(NOBODY), Some(NOBODY))
            .unwrap_or_else(|error| panic!("Dovecot needs root to start it: {error}"));
        let user = |name: &str| format!("{name}::{NOBODY}:{NOBODY}::{}/{name}::\n", boxes.display());
        fs::write(dovecot.path("users"), ["suzie", "joe"].map(user).concat()).unwrap();
        fs::write(dovecot.path("dovecot.conf"), dovecot.configuration()).unwrap();
        dovecot.start_again();
        dovecot
    }

    /// Starts the one that was killed, with all that it had.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        assert!(self.master.is_none(), "it runs");
        let mut command = Command::new(DOVECOT);
        command.args(["-F", "-c"]).arg(self.path("dovecot.conf"));
        let answer = || TcpStream::connect(self.address()).ok();
        self.master = Some(server::start(command, &self.path("output"), answer));
    }

    /// Ends all its processes at once.
    pub(crate) fn kill(&mut self) {
        let Some(master) = self.master.take() else { return };
        server::kill(master);
        until("the end of Dovecot", SOON, || TcpStream::connect(self.address()).is_err().then_some(()));
        // What a process that is killed leaves behind.
        fs::remove_file(self.path("run/master.pid")).unwrap();
    }

    /// Where it listens for TCP.
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("lmtp")
    }

    /// The messages in a mailbox, as soon as there are so many.
    #[track_caller]
    pub(crate) fn delivered(&self, to: &str, count: usize) -> Vec<Vec<u8>> {
        server::delivered(&self.path("box"), to, count)
    }

    fn configuration(&self) -> String {
        let (folder, port) = (self.folder.path().display(), self.port);
        format!(
            "base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
protocols = lmtp
ssl = no
hostname = mail.example.org
mail_location = maildir:{folder}/box/%n
first_valid_uid = 1
first_valid_gid = 1
auth_username_format = %n
# Nobody logs in, yet Dovecot wants to know who could.
passdb {{
  driver = passwd-file
  args = username_format=%n {folder}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {folder}/users
}}
service anvil {{
  chroot =
}}
service lmtp {{
  unix_listener {folder}/lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
login_trusted_networks = 127.0.0.0/8
mail_plugins = quota
plugin {{
  quota = maildir:User quota
  quota_rule = *:storage=64K
  quota_grace = 0
}}
"
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for DovecotLmtp {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("== Dovecot's log\n{}", tail(&self.path("log"), 40));
        }
    }
}
