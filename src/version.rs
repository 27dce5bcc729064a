//! What the program is built from.

/// The version, as in `Cargo.toml`: the one place where it is set.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit; `unknown` where the build had neither a repository nor `METRICS_SERVER_DOCTOR_BUILD_REVISION`, and in
/// debug builds.
pub const REVISION: &str = env!("BUILD_REVISION");
/// The version of the compiler.
pub const RUSTC: &str = env!("BUILD_RUSTC");
/// All of it, as `--version` shows it.
pub const LONG: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("BUILD_REVISION"), ", rustc ", env!("BUILD_RUSTC"), ")");
