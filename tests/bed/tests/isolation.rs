//! Inside the namespaces nothing can be fetched and nothing that was fetched before can be read, whatever the machine has in its
//! caches: a test that forgets to have `make components` bring what it reads fails on every machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use testbed::{components, isolation};

const NAME: &str = "no_module_cache_is_in_sight";
/// Where the caches of the machine are, as the test has filled them.
const CACHES: &str = "ISOLATION_TEST_CACHES";

fn main() -> ExitCode {
    if env::args().any(|word| word == "--list") {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    if env::var_os(CACHES).is_none() {
        return outside();
    }
    if let Err(error) = isolation::enter() {
        eprintln!("no test in namespaces is possible here: {error:#}");
        return ExitCode::FAILURE;
    }
    inside();
    println!("test {NAME} ... ok");
    ExitCode::SUCCESS
}

/// Runs this test with caches that are full: one where Go would look without being told, one that it is told of.
fn outside() -> ExitCode {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    let (usual, told) = (home.join("go/pkg/mod"), folder.path().join("told"));
    for cache in [&usual, &told, &home.join(".cache/go-build")] {
        fs::create_dir_all(cache.join("example@v1.0.0")).expect("a folder");
        fs::write(cache.join("example@v1.0.0/file"), "of a module").expect("a file");
    }
    let again = |module_cache: Option<&Path>, caches: &[&Path]| {
        let mut command = Command::new(env::current_exe().expect("this program"));
        for name in ["GOPATH", "GOMODCACHE", "GOCACHE", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        command.env("HOME", &home).env(CACHES, env::join_paths(caches).expect("paths"));
        command.envs(module_cache.map(|path| ("GOMODCACHE", path)));
        command.status().expect("this program starts").success()
    };
    let is_ok = again(None, &[&usual, &home.join(".cache/go-build")]) && again(Some(&told), &[&told]);
    ExitCode::from(u8::from(!is_ok))
}

fn inside() {
    let caches: Vec<PathBuf> = env::split_paths(&env::var_os(CACHES).expect("the caches")).collect();
    let named = ["GOMODCACHE", "GOCACHE"].map(|name| PathBuf::from(env::var_os(name).expect(name)));
    for cache in caches.iter().chain(&named) {
        let entries = fs::read_dir(cache).unwrap_or_else(|error| panic!("{}: {error}", cache.display()));
        assert_eq!(entries.count(), 0, "{} is in sight", cache.display());
        fs::write(cache.join("file"), "").expect_err("nobody can fill it");
    }
    assert!(!caches.contains(&named[0]));
    assert_eq!(env::var("GOPROXY").as_deref(), Ok("off"));

    let module = components::project_root().join("tests/components").join(components::PROMETHEUS_OPERATOR.folder);
    let fetched = Command::new("go").args(["mod", "download"]).current_dir(module).output();
    // Where there is no Go nothing is fetched either.
    assert!(!fetched.is_ok_and(|output| output.status.success()), "a module was fetched");
}
