//! The image as it ships: built by `BuildKit` from the `Dockerfile`, run as a pod runs it: read-only, without
//! capabilities, with 32 MiB of memory. `make test-image`.
//!
//! `cargo test --test image [demo] [serve]` runs only the parts that are named, on an image that is built in any case; `platforms` alone
//! builds none but looks at what would be built for each platform.
//!
//! Docker runs in namespaces of its own and ends with them. Where no registry of images can be reached, a stand-in made of
//! this machine's compiler takes the place of the official Rust image.

// A file with its own `main` has its modules beside it.
#[path = "image/container.rs"]
mod container;
#[path = "image/docker.rs"]
mod docker;
#[path = "image/platforms.rs"]
mod platforms;

use std::{
    env,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use container::Container;
use docker::Docker;
use serde_json::Value;
use testbed::{Bed, components, doctor, isolation, page::Page, wait::wait_for};

const IMAGE: &str = "metrics-server-doctor:test";
const LARGEST_IMAGE: u64 = 12_000_000;
/// Address in the namespaces of this test.
const LOOPBACK: &str = "127.0.0.1:19102";

fn main() -> ExitCode {
    if env::args().any(|word| word == "--list") {
        println!("image: test");
        return ExitCode::SUCCESS;
    }
    // Where Docker cannot run nothing is wrong with the image.
    let skipped = |missing: &anyhow::Error| {
        println!("SKIPPED, the image was not built and not tried: {missing:#}");
        ExitCode::SUCCESS
    };
    let folder = match requirements() {
        Ok(folder) => folder,
        Err(missing) => return skipped(&missing),
    };
    if let Err(error) = isolation::enter() {
        return skipped(&error.context("no namespaces are possible here"));
    }
    if wanted("platforms")
        && let Err(error) = try_platforms(&folder)
    {
        println!("0 passed, 1 failed\n{error:#}");
        return ExitCode::FAILURE;
    }
    if !wanted("demo") && !wanted("serve") {
        return ExitCode::SUCCESS;
    }
    let begin = Instant::now();
    let docker = match Docker::start(&folder) {
        Ok(docker) => docker,
        Err(error) => return skipped(&error),
    };
    println!("dockerd is ready after {:.1} s", begin.elapsed().as_secs_f64());
    match run(&docker) {
        Ok(()) => {
            println!("1 passed, 0 failed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("0 passed, 1 failed\n{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_platforms(folder: &Path) -> Result<()> {
    if let Some(missing) = not_built(&["buildkitd", "buildctl"]) {
        println!("SKIPPED, the platforms were not tried: {missing} is not built");
        return Ok(());
    }
    platforms::platforms(folder)
}

/// The first of these components that is not built; here none is worth the wait, `make test-image` has them built before.
fn not_built(names: &[&'static str]) -> Option<&'static str> {
    let is_missing = |name: &&&'static str| components::named(name).is_ok_and(|component| component.find().is_none());
    names.iter().find(is_missing).copied()
}

/// The folder with dockerd, which `make test-image` has filled.
fn requirements() -> Result<PathBuf> {
    ensure!(fs_owner("/proc/self")? == 0, "dockerd needs root");
    let folder = components::project_root().join(".components/docker");
    ensure!(folder.join("complete").is_file(), "dockerd is not there: run `make test-image`");
    Ok(folder)
}

fn fs_owner(path: &str) -> Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(Path::new(path).metadata()?.uid())
}

fn run(docker: &Docker) -> Result<()> {
    build(docker)?;
    contents(docker)?;
    if wanted("demo") {
        demo(docker)?;
    }
    if !wanted("serve") {
        return Ok(());
    }
    let needed = ["etcd", "kube-apiserver", "kube-controller-manager", "metrics-server", "kubectl"];
    if let Some(missing) = not_built(&needed) {
        println!("SKIPPED, the image was not tried on a cluster: {missing} is not built");
        return Ok(());
    }
    serve(docker)
}

fn wanted(part: &str) -> bool {
    let mut words = env::args().skip(1).filter(|word| !word.starts_with('-')).peekable();
    words.peek().is_none() || words.any(|word| word == part)
}

fn build(docker: &Docker) -> Result<()> {
    let begin = Instant::now();
    let base = docker.stand_in_base()?;
    println!("stand-in for the Rust image after {:.1} s", begin.elapsed().as_secs_f64());
    // The official image gets its musl target from rustup, which is no package registry.
    let libc = if musl_target_is_there() { "musl" } else { "gnu" };
    println!("building with LIBC={libc}");
    let begin = Instant::now();
    docker.build(IMAGE, &[("RUST_IMAGE", &base), ("LIBC", libc)])?;
    println!("image built after {:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}

fn musl_target_is_there() -> bool {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok();
    let sysroot = sysroot.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    Path::new(sysroot.trim()).join("lib/rustlib/x86_64-unknown-linux-musl").is_dir()
}

/// What `docker image inspect` says, and what is in the image.
fn contents(docker: &Docker) -> Result<()> {
    let image = docker.inspect("image", IMAGE)?;
    let size = image["Size"].as_u64().context("a size")?;
    println!("image: {size} bytes");
    ensure!(size < LARGEST_IMAGE, "the image has {size} bytes");
    let config = &image["Config"];
    ensure!(config["User"] == "65532:65532", "user {}", config["User"]);
    ensure!(config["Entrypoint"] == serde_json::json!(["/metrics-server-doctor"]), "{}", config["Entrypoint"]);
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str().unwrap_or_default();
    ensure!(label("version") == env!("CARGO_PKG_VERSION"), "version {}", label("version"));
    ensure!(label("licenses") == "Apache-2.0" && label("title") == "metrics-server-doctor");
    ensure!(label("created").ends_with('Z'), "created {}", label("created"));
    let revision = label("revision").to_owned();
    let shown = docker.output(&["run", "--rm", "--network=none", IMAGE, "--version"])?;
    println!("{}", shown.trim());
    ensure!(shown.contains(env!("CARGO_PKG_VERSION")) && shown.contains(&revision), "--version says {shown}");
    let container = docker.output(&["create", "--network=none", IMAGE])?;
    let files = docker.files(container.trim())?;
    docker.output(&["rm", container.trim()])?;
    let made_by_docker = ["dev", "etc", "proc", "sys", ".dockerenv"];
    let ours: Vec<&String> =
        files.iter().filter(|name| !made_by_docker.contains(&name.split('/').next().unwrap_or_default())).collect();
    ensure!(ours == ["LICENSE", "metrics-server-doctor"], "the image holds {ours:?}");
    Ok(())
}

/// The sample cluster: probes, a page, and an end that waits for a scrape.
fn demo(docker: &Docker) -> Result<()> {
    let address: SocketAddr = LOOPBACK.parse()?;
    let container = Container::run(docker, &[], &["demo", "--listen-address", LOOPBACK])?;
    container.await_ready(address)?;
    println!("demo: ready {:.2} s after the start of the process", container.age()?.as_secs_f64());
    ensure!(testbed::page::get(address, "/livez")?.0 == 200);
    let page = Page::scrape(address)?;
    ensure!(page.value("apiservice_available", &[]).is_some(), "{}", page.summary());
    for _ in 0..200 {
        Page::scrape(address)?;
    }
    println!("demo: {}", container.memory()?);
    ends_well(&container, address)
}

/// A real control plane, watched by the pod of `deploy/base`: with its flags, its token and its confinement.
fn serve(docker: &Docker) -> Result<()> {
    let bed = Bed::start()?;
    doctor::apply_base(&bed)?;
    let words = format!("get deployment {0} -n {0} -o json", doctor::ACCOUNT);
    let deployment: Value = serde_json::from_str(&bed.kubectl().try_words(&words)?)?;
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let texts = container["args"].as_array().context("args")?.iter().map(|word| word.as_str().unwrap_or_default());
    let arguments: Vec<&str> = texts.collect();
    let account = Path::new(isolation::STATE).join("account");
    bed.write_account(doctor::ACCOUNT, doctor::ACCOUNT, &account)?;
    let mount = format!("--volume={}:/var/run/secrets/kubernetes.io/serviceaccount:ro", account.display());
    let api_server = format!("--env=KUBERNETES_SERVICE_HOST={}", isolation::API_SERVER_ADDRESS);
    let flags = [mount.as_str(), &api_server, "--env=KUBERNETES_SERVICE_PORT=6443"];
    let address = SocketAddr::new(isolation::API_SERVER_ADDRESS.parse()?, 19102);
    let running = Container::run(docker, &flags, &arguments)?;
    running.await_ready(address)?;
    let took = running.age()?;
    println!("serve: first complete page {:.2} s after the start of the process", took.as_secs_f64());
    ensure!(took < Duration::from_secs(1), "the first complete page took {took:?}");
    for probe in ["livenessProbe", "readinessProbe"] {
        let path = container[probe]["httpGet"]["path"].as_str().context("a path")?;
        let (status, body) = testbed::page::get(address, path)?;
        ensure!(status == 200, "{path} answers {status}: {body}");
    }
    wait_for("the verdict", Duration::from_secs(20), || {
        let page = Page::scrape(address)?;
        ensure!(page.verdict()? == "none/healthy", "{}", page.summary());
        let missing = page.named("metrics_server_doctor_permission_missing").find(|sample| sample.value != 0.0);
        ensure!(missing.is_none(), "{missing:?}");
        Ok(())
    })?;
    for _ in 0..200 {
        Page::scrape(address)?;
    }
    println!("serve: {}", running.memory()?);
    ends_well(&running, address)
}

/// SIGTERM while half a request is sent: the other half is answered, and the end comes within a second.
fn ends_well(container: &Container<'_>, address: SocketAddr) -> Result<()> {
    let mut scraping = TcpStream::connect(address)?;
    scraping.set_read_timeout(Some(Duration::from_secs(5)))?;
    scraping.write_all(b"GET /metrics HTTP/1.1\r\nHost: doctor\r\n")?;
    let begin = Instant::now();
    container.terminate()?;
    scraping.write_all(b"Connection: close\r\n\r\n")?;
    let mut answer = String::new();
    scraping.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\napiservice_available"), "{answer}");
    let (ended, state) = container.await_end()?;
    let took = ended - begin;
    println!("ended {:.2} s after SIGTERM", took.as_secs_f64());
    if state["ExitCode"] != 0 || state["OOMKilled"] != false {
        bail!("it ended with {state}: {}", container.log()?);
    }
    ensure!(took < Duration::from_secs(1), "the end took {took:?}");
    Ok(())
}
