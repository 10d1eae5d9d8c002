//! Policies: small Rhai scripts that decide, and everything that keeps them from doing harm.
//!
//! [`Policies::load`] makes one generation of the files and the configuration. At each stage of a session,
//! [`Policies::begin`] gives a [`StageRun`]: it asks policies in order, names the facts that scripts wait for, and ends with
//! a [`Judgement`]. [`Memory`] is what one session remembers between stages.
//!
//! A script that needs a fact which is not there is stopped, and run again from its start with the fact in hand; what it
//! ordered until then is dropped. So nothing here blocks, waits or opens a socket: the caller fetches.
//!
//! **Invariants.** A script that fails or runs out of its budget never passes mail that a gate or an exhausted budget
//! would have stopped ([`run`], `fail`). An enforced verdict cannot be lost, whatever the script does around it
//! ([`turn`], `stopped`). No name in a judgement comes from a client: rules are literals, known when policies are loaded.

mod clock;
mod compiled;
mod coverage;
mod delayed;
mod domains;
mod engine;
mod exceptions;
mod faults;
pub mod judgement;
mod language;
mod lint;
mod listing;
mod lists;
mod load;
mod memory;
mod plan;
mod policies;
pub mod question;
mod rulings;
mod run;
pub mod scene;
pub mod sources;
pub mod telling;
mod turn;
mod units;
mod words;

pub use coverage::{Coverage, CoveredFile};
pub use exceptions::ExceptionInfo;
pub use judgement::Judgement;
pub use language::{definitions, reference};
pub use load::{Fingerprint, Glance};
pub use memory::{Memory, SizeLimit};
pub use policies::{ModeOrigin, Policies, PolicyInfo, RuleInfo};
pub use run::{StageRun, Step};
pub use sources::Sources;

#[cfg(test)]
mod tests;
