//! The `gatepost` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    gatepost::cli::main()
}
