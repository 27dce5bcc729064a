//! The program; everything that it does stands in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    metrics_server_doctor::run::main()
}
