//! What this machine gives: time, descriptors, folders; and the certificates in its files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{Access, access, statfs, statvfs};

use super::finding::Finding;
use crate::admin::Place;
use crate::config::Settings;
use crate::config::ready::{ListenerTls, Quarantine};
use crate::server::{self, Ceiling};
use crate::state;
use crate::units::{duration_text, size_text};
use crate::upstream::Kind;

/// A certificate that ends sooner than this is a warning, as in `status`.
const CERTIFICATES: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// A clock before 2025 is wrong whatever anybody says of it.
const BUILT: Duration = Duration::from_secs(1_735_689_600);
/// Less room than this on a disk is a warning.
const ROOM: u64 = 256 << 20;
/// File systems in memory say that they are this (Linux, `magic.h`).
const TMPFS: u64 = 0x0102_1994;

/// Signatures, certificates and greylisting go by the clock.
pub(super) fn clock() -> Finding {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if now < BUILT {
        return Finding::fail(
            "clock",
            "it is years behind",
            "set it, and keep it right with NTP (timesyncd, chrony)",
        );
    }
    match is_synchronized() {
        Some(true) => Finding::ok("clock", "it is kept right by NTP"),
        Some(false) => Finding::warn(
            "clock",
            "it is not kept right: DKIM signatures, certificates and greylisting go by it",
            "run systemd-timesyncd or chrony: timedatectl set-ntp true",
        ),
        None => Finding::ok("clock", "it is plausible; who keeps it right cannot be seen from here"),
    }
}

/// Whether the kernel's clock is kept right, where systemd can be asked.
fn is_synchronized() -> Option<bool> {
    const PATIENCE: Duration = Duration::from_secs(3);
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    let mut asked = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begun = Instant::now();
    while asked.try_wait().ok()?.is_none() {
        if begun.elapsed() > PATIENCE {
            // It asks a service over a bus, which may not be there.
            let _ = asked.kill();
            let _ = asked.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let answer = asked.wait_with_output().ok()?;
    match String::from_utf8_lossy(&answer.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Whether there are descriptors for the sessions that are configured.
pub(super) fn descriptors(settings: &Settings) -> Finding {
    let limit = server::raise_limit();
    let most = Ceiling::of_descriptors(limit).most();
    let wanted =
        settings.listeners.iter().map(|listener| listener.bounds.sessions).fold(0, usize::saturating_add);
    let limit = limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    if wanted <= most {
        return Finding::ok("descriptors", format!("{limit}, enough for {wanted} sessions"));
    }
    let message = format!("{limit} are enough for {most} sessions, and {wanted} are configured");
    Finding::warn("descriptors", message, "raise LimitNOFILE= in the unit, or lower limits.sessions")
}

/// Whether everything can be written that has to be.
pub(super) fn folders(settings: &Settings) -> Vec<Finding> {
    let mut folders: Vec<(&str, PathBuf)> = Vec::new();
    folders.extend(settings.spool.dir.clone().map(|dir| ("spool.dir", dir)));
    if let Some(Quarantine::Folder(quarantine)) = &settings.quarantine {
        folders.push(("quarantine.dir", quarantine.dir.clone()));
    }
    if let state::Settings::Embedded(folder, _) = &settings.state {
        folders.push(("state", folder.clone()));
    }
    folders.extend(
        settings.decisions.file.iter().filter_map(|file| Some(("decisions.file", file.parent()?.to_owned()))),
    );
    let maildirs = settings.upstreams.iter().filter_map(|target| match &target.kind {
        Kind::Maildir(root) => Some(("maildir", root.clone())),
        Kind::Smtp(_) => None,
    });
    folders.extend(maildirs);
    let sockets = settings.admin.iter().flat_map(|admin| &admin.places).filter_map(|place| match place {
        Place::Unix(path) => Some(("admin.listen", path.parent()?.to_owned())),
        Place::Tcp(_) => None,
    });
    folders.extend(sockets);
    folders.iter().map(|(key, path)| folder(key, path)).collect()
}

fn folder(key: &str, path: &Path) -> Finding {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    // What is not there yet is made, if the nearest that is there can be written.
    let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or_else(|| Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let shown = path.display();
    if !there.is_dir() {
        return Finding::fail(
            "folders",
            format!("{key}: {} is no folder", there.display()),
            "name another place",
        );
    }
    if let Err(error) = access(there, Access::WRITE_OK | Access::EXEC_OK) {
        let message = format!("{key}: {} cannot be written: {error}", there.display());
        return Finding::fail("folders", message, "give it to the user that Gatepost runs as: chown");
    }
    let free = statvfs(there).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    if free < ROOM {
        let message = format!("{key}: {shown} has {} left", size_text(free >> 20 << 20));
        return Finding::warn("folders", message, "make room: what does not fit is deferred with 452");
    }
    let in_memory = statfs(there).is_ok_and(|system| u64::try_from(system.f_type) == Ok(TMPFS));
    if in_memory && key != "admin.listen" {
        let message = format!("{key}: {shown} is in memory, and gone with the next start of the machine");
        return Finding::warn("folders", message, "take a folder on a disk");
    }
    let made = if there == path { "" } else { " will be made, and" };
    Finding::ok("folders", format!("{key}: {shown}{made} can be written"))
}

/// When certificates end, and whether they are for our name. That a key belongs to its certificate was seen when they were loaded.
pub(super) fn certificates(settings: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    for listener in &settings.listeners {
        let (ListenerTls::StartTls(identity) | ListenerTls::Implicit(identity)) = &listener.tls else {
            continue;
        };
        let certificates = identity.tls.certificates();
        let now = SystemTime::now();
        for (file, validity) in certificates.validities() {
            let subject = format!("{}: {}", listener.name, file.display());
            found.push(match (validity.fault(now), validity.not_after.duration_since(now)) {
                (Some(fault), _) => Finding::fail(
                    "certificates",
                    format!("{subject} {fault}"),
                    "renew it; it is taken up by itself",
                ),
                (None, Ok(left)) if left < CERTIFICATES => {
                    let days = duration_text(Duration::from_secs(left.as_secs() / 86_400 * 86_400));
                    Finding::warn(
                        "certificates",
                        format!("{subject} ends in {days}"),
                        "renew it; it is taken up by itself",
                    )
                }
                _ => Finding::ok("certificates", format!("{subject} is valid, with its key")),
            });
        }
        if !certificates.covers(&settings.hostname) {
            let message = format!("{}: none is for {}", listener.name, settings.hostname);
            found.push(Finding::warn(
                "certificates",
                message,
                "get one for this name, or correct `hostname`",
            ));
        }
    }
    found
}
