//! End to end: the program as it is run, in front of a real Postfix, with real clients, looked at by a real Prometheus.
//!
//! Every test starts what it needs by itself, on ports and in folders of its own, and ends with a look at Gatepost's books.
//! The Debian packages that this takes are installed by `tests/run`; without one of them the tests fail and say so.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod arrival;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod authentication;
#[cfg(test)]
mod bad_scripts;
#[cfg(test)]
mod bombs;
#[cfg(test)]
mod broken_configuration;
#[cfg(test)]
mod chunks;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod comparison;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod explained;
#[cfg(test)]
mod extensions;
#[cfg(test)]
mod first_steps;
#[cfg(test)]
mod handover;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod observation;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod page;
#[cfg(test)]
mod quarantine;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod reload_configuration;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod scanners;
#[cfg(test)]
mod sealing;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod state;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tls_attacks;
#[cfg(test)]
mod tls_certificates;
#[cfg(test)]
mod tls_upstream;
