//! The words of SMTP: commands, replies, paths, lines and data, without sockets, time or configuration.
//!
//! Everything here is a value or a small byte machine. A machine takes what it can use from the front of its input and says
//! what it found; how the bytes were cut into segments never changes what that is.

pub mod auth;
pub mod chunk;
pub mod command;
pub mod data;
pub mod domains;
pub mod extensions;
pub mod line;
pub mod needs;
pub mod params;
pub mod path;
pub mod receipt;
pub mod reply;
#[cfg(test)]
mod segments;
pub mod text_line;
pub mod xclient;
