//! The operator's side door.

use crate::admin::Place;

use super::super::raw;
use super::super::read::Placed;
use super::super::ready::Admin;
use super::super::report::Report;
use super::secret;

/// Where the endpoint is, and who is let in.
pub(in super::super) fn admin(raw: &raw::Admin, report: &mut Report) -> Option<Admin> {
    let listen = raw.listen.as_ref()?;
    if raw.token.is_some() && !listen.0.iter().any(|place| matches!(place.value, Place::Tcp(_))) {
        let place = raw.token.as_ref().map(|token| token.place);
        let help =
            "a UNIX socket is for whoever may open it; leave the token out, or listen at an address too";
        report.add(place, "nobody is asked for this token", Some(help.to_owned()));
    }
    for place in &listen.0 {
        warn_of_strangers(place, raw.token.is_some(), report);
    }
    let resolved = |place: &Placed<Place>| match &place.value {
        Place::Unix(path) => Place::Unix(report.resolve(path)),
        Place::Tcp(address) => Place::Tcp(*address),
    };
    let places = listen.0.iter().map(resolved).collect();
    let hosts = raw.hosts.iter().flatten().map(|host| host.value.clone()).collect();
    let token = raw.token.as_ref().and_then(|token| secret::text(token, report));
    Some(Admin { places, token, hosts })
}

/// Metrics are no secret, but they tell more than the world has to know; a token in the clear is one for everybody on the way.
fn warn_of_strangers(place: &Placed<Place>, token: bool, report: &mut Report) {
    let Place::Tcp(address) = &place.value else { return };
    if address.ip().to_canonical().is_loopback() {
        return;
    }
    let message = match token {
        true => format!("the token goes over the network to {address} in the clear"),
        false => format!("everybody who reaches {address} can read the metrics"),
    };
    report.warning(
        place.place,
        message,
        "listen on 127.0.0.1, and let a web server with TLS pass on what others may ask",
    );
}
