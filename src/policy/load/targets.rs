//! Where policies send mail and questions: what the configuration does not allow is an error each time that they run.

use super::super::sources::Sources;
use super::check::TargetSite;
use super::{Script, suggest};
use crate::diagnostic::Diagnostic;
use crate::smtp::path::{Domain, ForwardPath, Mailbox};

/// Checks the addresses and URLs that are written out.
pub(super) fn check(scripts: &[Script], sources: &Sources, problems: &mut Vec<Diagnostic>) {
    for script in scripts {
        problems.extend(script.names.addresses.iter().filter_map(|to| unreachable(script, to, sources)));
        if let Some(hosts) = &sources.http_hosts {
            problems.extend(script.names.urls.iter().filter_map(|url| unasked(script, url, hosts)));
        }
    }
}

/// What is wrong with an address to which mail is sent.
fn unreachable(
    script: &Script,
    TargetSite { text: to, position, width }: &TargetSite,
    sources: &Sources,
) -> Option<Diagnostic> {
    let error = |message: String| script.file.error(*position, *width, message);
    let mailbox = match Mailbox::parse(to) {
        Ok(mailbox) => mailbox,
        Err(why) => {
            let problem = error(format!("`{to}` is no address: {why}"));
            return Some(problem.with_help("write a whole one, such as \"jane@example.org\""));
        }
    };
    let domain = match mailbox.domain() {
        Domain::Name(name) => name.ascii().to_owned(),
        Domain::Literal(_) => String::new(),
    };
    if sources.redirect_domains.takes(&ForwardPath::Mailbox(mailbox)) {
        return None;
    }
    let problem = error(format!("`{to}` is in none of our domains, nor in policies.redirect_domains"));
    Some(problem.with_help(if domain.is_empty() {
        "mail is not sent to the address of a host".to_owned()
    } else {
        format!("add the domain: `policies: {{ redirect_domains: [{domain}] }}`")
    }))
}

/// What is wrong with a URL that is asked for.
fn unasked(
    script: &Script,
    TargetSite { text: url, position, width }: &TargetSite,
    hosts: &[String],
) -> Option<Diagnostic> {
    let error = |message: String| script.file.error(*position, *width, message);
    let Some((authority, port)) = authority(url) else {
        let problem = error(format!("`{url}` is no URL that can be asked for"));
        return Some(
            problem.with_help("write it whole: \"https://api.example.org/path\", without a user in it"),
        );
    };
    let bare = authority.strip_suffix(&format!(":{port}")).unwrap_or(&authority);
    let is_it = |host: &&String| **host == authority || **host == bare || **host == format!("{bare}:{port}");
    if hosts.iter().find(is_it).is_some() {
        return None;
    }
    let problem =
        error(format!("`{authority}` is not among policies.http_hosts: the answer is always an error"));
    let problem = suggest(problem, &authority, hosts.iter().map(String::as_str));
    let help = format!("allow it in the configuration: `policies: {{ http_hosts: [\"{authority}\"] }}`");
    Some(if problem.help.is_some() { problem } else { problem.with_help(help) })
}

/// The host of a URL, with its port where it has one, in lower case; and the usual port of its scheme.
fn authority(url: &str) -> Option<(String, &'static str)> {
    let (rest, port) = match url.split_once("://")? {
        (scheme, rest) if scheme.eq_ignore_ascii_case("http") => (rest, "80"),
        (scheme, rest) if scheme.eq_ignore_ascii_case("https") => (rest, "443"),
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    let is_plain = url.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\');
    (is_plain && !authority.is_empty() && !authority.contains('@')).then_some((authority, port))
}
