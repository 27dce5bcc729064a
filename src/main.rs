//! The program; everything that it does stands in the library.

use std::process::ExitCode;

/// In static builds: the allocator of musl takes more than twice as long to parse what the API server sends.
#[cfg(target_feature = "crt-static")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    metrics_server_doctor::run::main()
}
