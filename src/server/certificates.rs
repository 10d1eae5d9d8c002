//! New certificates without a restart: watch their files, load, swap, or keep the old ones and say so.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::reload::Orders;
use crate::admin::{Health, Reload, Reloaded};
use crate::files;
use crate::metrics::{ListenerMetrics, PolicyMetrics};
use crate::tls::{Certificates, ClientTls, ServerTls, TlsError};

/// How often the files are looked at. What they hold is compared, so that a symlink that is swapped is seen too.
const LOOK: Duration = Duration::from_secs(1);
/// What is read of a file, in octets: one that is longer is refused by those who load it.
const LONGEST_PEM: u64 = 32 << 20;
/// The name of this kind of reload in metrics and on the health page.
const KIND: &str = "certificates";

/// Keeps certificates, keys and authorities up to date with their files.
#[derive(Debug)]
pub struct CertificateReloader {
    /// What is watched; the configuration may put others in their place.
    pub watched: Arc<Mutex<Vec<Watched>>>,
    /// Where reloads are counted.
    pub metrics: PolicyMetrics,
    /// Where reloads show.
    pub health: Arc<Health>,
}

/// TLS settings whose files are watched.
#[derive(Debug)]
pub struct Watched {
    /// For the log: `listener mx`, `upstream main`.
    name: String,
    source: Source,
    /// What the files held when they were last loaded, or refused.
    seen: Digest,
    /// What they held when they were found broken for the first time: half of a renewal, perhaps, whose other half is about to be
    /// written. It is refused if it is still there at the next look.
    doubtful: Option<Digest>,
    /// Why what they hold now cannot be used.
    refused: Option<String>,
}

type Digest = [u8; 32];

#[derive(Debug)]
enum Source {
    Listener(Arc<ServerTls>, ListenerMetrics),
    Upstream(ClientTls),
}

/// What came of a look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Unchanged,
    Swapped,
    Refused,
}

impl Watched {
    /// The certificates of a listener, and when they end in its metrics.
    pub fn listener(name: &str, tls: Arc<ServerTls>, metrics: ListenerMetrics) -> Self {
        expose(&tls.certificates(), &metrics);
        Self::new(format!("listener {name}"), Source::Listener(tls, metrics))
    }

    /// The authorities and the certificate that an upstream needs.
    pub fn upstream(name: &str, tls: ClientTls) -> Self {
        Self::new(format!("upstream {name}"), Source::Upstream(tls))
    }

    /// What is known of the files goes on, where one of those `before` stood for the same.
    pub fn succeed(mut self, before: &[Self]) -> Self {
        if let Some(before) = before.iter().find(|before| before.source.is_same(&self.source)) {
            (self.seen, self.doubtful) = (before.seen, before.doubtful);
            self.refused.clone_from(&before.refused);
        }
        self
    }

    /// It is no longer in use.
    pub fn leave(&self) {
        if let Source::Listener(tls, metrics) = &self.source {
            labels(&tls.certificates()).iter().for_each(|name| metrics.forget_certificate(name));
        }
    }

    fn new(name: String, source: Source) -> Self {
        let seen = source.digest();
        Self { name, source, seen, doubtful: None, refused: None }
    }

    /// What was refused is tried at every look: the reason may lie elsewhere than in what the files hold, as in the mode of a key.
    fn look(&mut self, ordered: bool) -> Outcome {
        let now = self.source.digest();
        if now == self.seen && self.refused.is_none() && !ordered {
            self.doubtful = None;
            return Outcome::Unchanged;
        }
        match self.source.reload() {
            // It is read all the same, and is what it was.
            Ok(()) if now == self.seen && self.refused.is_none() => Outcome::Unchanged,
            Ok(()) => {
                tracing::info!(event = "reloaded", of = self.name, "certificates reloaded");
                self.settle(now, None)
            }
            Err(error) => self.fail(now, error.to_string(), ordered),
        }
    }

    fn fail(&mut self, now: Digest, error: String, ordered: bool) -> Outcome {
        let is_known = now == self.seen && self.refused.as_ref() == Some(&error);
        let is_doubtful = now != self.seen && self.doubtful != Some(now);
        if is_doubtful && !ordered {
            self.doubtful = Some(now);
        }
        if (is_known || is_doubtful) && !ordered {
            return Outcome::Unchanged;
        }
        tracing::error!(event = "reload_refused", of = self.name, %error, "the old certificates stay");
        self.settle(now, Some(error))
    }

    fn settle(&mut self, seen: Digest, refused: Option<String>) -> Outcome {
        self.seen = seen;
        self.doubtful = None;
        self.refused = refused;
        if self.refused.is_none() { Outcome::Swapped } else { Outcome::Refused }
    }

    fn complaint(&self) -> Option<String> {
        self.refused.as_ref().map(|why| format!("{}: {why}", self.name))
    }
}

impl Source {
    /// Whether both are one: what is read into one of them is in the other.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Listener(one, _), Self::Listener(other, _)) => Arc::ptr_eq(one, other),
            (Self::Upstream(one), Self::Upstream(other)) => one.is_same(other),
            _ => false,
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Listener(tls, _) => tls.files(),
            Self::Upstream(tls) => tls.files(),
        }
    }

    fn digest(&self) -> Digest {
        let mut digest = Context::new(&SHA256);
        for path in self.files() {
            let content = content(&path);
            digest.update(&content.len().to_be_bytes());
            digest.update(&content);
        }
        let mut value = [0; 32];
        value.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
        value
    }

    fn reload(&self) -> Result<(), TlsError> {
        match self {
            Self::Upstream(tls) => tls.reload(),
            Self::Listener(tls, metrics) => {
                tls.reload()?;
                let certificates = tls.certificates();
                expose(&certificates, metrics);
                warn(&certificates);
                Ok(())
            }
        }
    }
}

/// What a file holds; one that cannot be read counts by its error, so that its coming and going is seen too. It may be a key, of
/// which no copy is to stay in memory.
fn content(path: &Path) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(files::read(path, LONGEST_PEM).unwrap_or_else(|error| error.to_string().into_bytes()))
}

/// Shows when each certificate ends.
fn expose(certificates: &Certificates, metrics: &ListenerMetrics) {
    for (name, (_, validity)) in labels(certificates).iter().zip(certificates.validities()) {
        metrics.certificate(name, validity.not_after);
    }
}

/// What each certificate is called in the metrics. Two files of one name are told apart by their place in the list.
fn labels(certificates: &Certificates) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (path, _) in certificates.validities() {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = if names.contains(&file) { format!("{file}#{}", names.len() + 1) } else { file.clone() };
        names.push(name);
    }
    names
}

fn warn(certificates: &Certificates) {
    for (path, validity) in certificates.validities() {
        if let Some(fault) = validity.fault(SystemTime::now()) {
            tracing::warn!(event = "reload_warning", "{}: the certificate {fault}", path.display());
        }
    }
}

impl CertificateReloader {
    /// Watches until `shutdown`; an order makes it load at once, changed or not: authorities of the system are not looked at.
    pub async fn run(self, mut orders: Orders, shutdown: CancellationToken) {
        self.metrics.loaded(KIND, SystemTime::now());
        let reloader = Arc::new(self);
        loop {
            let order = tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK) => None,
                Some(order) = orders.recv() => Some(order),
            };
            let (worker, ordered) = (Arc::clone(&reloader), order.is_some());
            // Reading files and checking keys is not done in the sessions' time.
            let looked = tokio::task::spawn_blocking(move || worker.look(ordered)).await;
            if let (Some(order), Ok(reload)) = (order, looked) {
                // Who ordered may have gone.
                let _ = order.send(reload);
            }
        }
    }

    fn look(&self, ordered: bool) -> Reload {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let looked: Vec<(Outcome, String)> =
            watched.iter_mut().map(|watched| (watched.look(ordered), watched.name.clone())).collect();
        let refused: Vec<String> = watched.iter().filter_map(Watched::complaint).collect();
        drop(watched);
        // The one that was refused may have left with its listener.
        let is_over = refused.is_empty() && self.health.is_refused(KIND);
        if !is_over && looked.iter().all(|(outcome, _)| *outcome == Outcome::Unchanged) {
            if ordered && !looked.is_empty() {
                self.metrics.reloaded(KIND, SystemTime::now());
            }
            return Reload::new(KIND, Reloaded::Unchanged, Vec::new());
        }
        let reload = if refused.is_empty() {
            self.metrics.reloaded(KIND, SystemTime::now());
            Reload::new(
                KIND,
                Reloaded::Taken,
                looked
                    .into_iter()
                    .filter(|(outcome, _)| *outcome != Outcome::Unchanged)
                    .map(|(_, name)| format!("{name}: read again"))
                    .collect(),
            )
        } else {
            self.metrics.reload_failed(KIND);
            Reload::new(KIND, Reloaded::Refused, refused)
        };
        self.health.reloaded(reload.clone());
        reload
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::tests::write;

    struct Rig {
        folder: tempfile::TempDir,
        reloader: CertificateReloader,
    }

    impl Rig {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let files = write(folder.path(), "mx", &["old.example.org"]);
            let tls = Arc::new(ServerTls::new(Certificates::load(&[files]).unwrap()).unwrap());
            let metrics = crate::metrics::Metrics::new();
            let watched = vec![Watched::listener("mx", tls, metrics.listener("mx"))];
            let (metrics, health) = (metrics.policy(), Arc::default());
            Self {
                folder,
                reloader: CertificateReloader { watched: Arc::new(Mutex::new(watched)), metrics, health },
            }
        }

        fn look(&self, ordered: bool) -> Outcome {
            self.reloader.watched.lock().unwrap()[0].look(ordered)
        }

        fn is_refused(&self) -> bool {
            self.reloader.watched.lock().unwrap()[0].complaint().is_some()
        }

        fn shows(&self, name: &str) -> bool {
            match &self.reloader.watched.lock().unwrap()[0].source {
                Source::Listener(tls, _) => tls.certificates().covers(name),
                Source::Upstream(_) => false,
            }
        }
    }

    #[test]
    fn what_is_the_same_is_called_so_though_an_order_reads_it_again() {
        let rig = Rig::new();
        assert_eq!(rig.look(false), Outcome::Unchanged);
        assert_eq!(rig.look(true), Outcome::Unchanged);
    }

    #[test]
    fn half_a_renewal_is_given_a_second() {
        let rig = Rig::new();
        let key = rig.folder.path().join("mx.key");
        let old = std::fs::read(&key).unwrap();
        write(rig.folder.path(), "mx", &["new.example.org"]);
        let new = std::fs::read(&key).unwrap();
        std::fs::write(&key, &old).unwrap();
        assert_eq!(rig.look(false), Outcome::Unchanged);
        std::fs::write(&key, &new).unwrap();
        assert_eq!(rig.look(false), Outcome::Swapped);
        assert!(rig.shows("new.example.org") && !rig.is_refused());
    }

    #[test]
    fn what_stays_broken_is_refused_once_and_the_old_one_stays() {
        let rig = Rig::new();
        let cert = rig.folder.path().join("mx.pem");
        std::fs::remove_file(&cert).unwrap();
        let looks = [rig.look(false), rig.look(false), rig.look(false)];
        assert_eq!(looks, [Outcome::Unchanged, Outcome::Refused, Outcome::Unchanged]);
        assert!(rig.shows("old.example.org") && rig.is_refused());
        assert_eq!(rig.look(true), Outcome::Refused, "who orders is told again");
        write(rig.folder.path(), "mx", &["new.example.org"]);
        assert_eq!(rig.look(false), Outcome::Swapped);
        assert!(rig.shows("new.example.org") && !rig.is_refused());

        std::fs::write(&cert, "").unwrap();
        assert_eq!(rig.look(true), Outcome::Refused, "an order is answered at once");
    }

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }

    /// The files hold what they held; why they cannot be used is another matter.
    #[test]
    fn another_reason_is_told_and_none_left_is_enough() {
        let rig = Rig::new();
        let (key, cert) = (rig.folder.path().join("mx.key"), rig.folder.path().join("mx.pem"));
        write(rig.folder.path(), "mx", &["new.example.org"]);
        mode(&key, 0o644);
        let looks = [rig.look(false), rig.look(false), rig.look(false)];
        assert_eq!(looks, [Outcome::Unchanged, Outcome::Refused, Outcome::Unchanged]);
        mode(&key, 0o600);
        mode(&cert, 0o646);
        assert_eq!([rig.look(false), rig.look(false)], [Outcome::Refused, Outcome::Unchanged]);
        mode(&cert, 0o644);
        assert_eq!(rig.look(false), Outcome::Swapped);
        assert!(rig.shows("new.example.org") && !rig.is_refused());
    }

    /// A new configuration puts others in the place of those that are watched.
    #[test]
    fn what_was_refused_does_not_outlive_its_listener_and_goes_on_with_it() {
        let rig = Rig::new();
        let key = rig.folder.path().join("mx.key");
        write(rig.folder.path(), "mx", &["new.example.org"]);
        mode(&key, 0o644);
        assert_eq!(rig.reloader.look(true).outcome, Reloaded::Refused);
        let again = {
            let watched = rig.reloader.watched.lock().unwrap();
            let Source::Listener(tls, metrics) = &watched[0].source else { panic!() };
            Watched::listener("mx", Arc::clone(tls), metrics.clone()).succeed(&watched)
        };
        mode(&key, 0o600);
        *rig.reloader.watched.lock().unwrap() = vec![again];
        assert_eq!(rig.reloader.look(false).outcome, Reloaded::Taken);
        assert!(rig.shows("new.example.org") && !rig.reloader.health.is_refused(KIND));

        mode(&key, 0o644);
        assert_eq!(rig.reloader.look(true).outcome, Reloaded::Refused);
        rig.reloader.watched.lock().unwrap().clear();
        assert_eq!(rig.reloader.look(false).outcome, Reloaded::Taken);
        assert!(!rig.reloader.health.is_refused(KIND));
    }

    #[test]
    fn two_files_of_one_name_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let deeper = folder.path().join("b");
        std::fs::create_dir(&deeper).unwrap();
        let files =
            [write(folder.path(), "mx", &["a.example.org"]), write(&deeper, "mx", &["b.example.org"])];
        let metrics = crate::metrics::Metrics::new();
        expose(&Certificates::load(&files).unwrap(), &metrics.listener("mx"));
        let text = metrics.encode().unwrap();
        for name in ["mx.pem", "mx.pem#2"] {
            assert!(text.contains(&format!("certificate=\"{name}\",listener=\"mx\"")), "{text}");
        }
    }
}
