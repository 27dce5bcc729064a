//! A cluster that keeps running: started, entered and ended from a terminal.

use std::{
    env,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use testbed::{Bed, components, isolation, kubectl::Kubectl, load::Load};

const START_LIMIT: Duration = Duration::from_mins(3);

/// Where the running cluster is written down; git ignores it.
fn folder() -> PathBuf {
    components::project_root().join(".bed")
}

/// The process that holds the namespaces, if it runs.
fn holder() -> Option<u32> {
    let pid = fs::read_to_string(folder().join("pid")).ok()?.trim().parse().ok()?;
    // A pid alone may belong to another program by now.
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> = command.split(|byte| *byte == 0).collect();
    (words.first() == Some(&b"unshare".as_slice()) && words.contains(&b"run".as_slice())).then_some(pid)
}

/// The first process inside the namespaces.
fn inside(holder: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{holder}/task/{holder}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// How to run a command inside the namespaces.
fn enter_words(holder: u32) -> Result<Vec<String>> {
    let pid = inside(holder).context("the cluster is just ending")?;
    let same_user = fs::read_link("/proc/self/ns/user").ok() == fs::read_link(format!("/proc/{pid}/ns/user")).ok();
    let user = if same_user { vec![] } else { vec!["--user", "--preserve-credentials"] };
    let words = [format!("--target={pid}"), "--net".to_owned(), "--mount".to_owned()];
    Ok(["nsenter".to_owned()].into_iter().chain(words).chain(user.into_iter().map(str::to_owned)).collect())
}

/// Starts the cluster and prints how to use it.
pub(crate) fn up() -> Result<()> {
    if holder().is_some() {
        return print_usage();
    }
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let ready = folder.join("kubeconfig");
    let _ = fs::remove_file(&ready);
    let log_path = folder.join("log");
    let log = File::create(&log_path)?;
    let mut child = Command::new(env::current_exe()?)
        .arg("run")
        .current_dir(components::project_root())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // An interrupt at the terminal is not for the cluster.
        .process_group(0)
        .spawn()?;
    fs::write(folder.join("pid"), child.id().to_string())?;
    eprintln!("testbed: starting (log in {})", log_path.display());
    let begin = Instant::now();
    while !ready.is_file() {
        if let Some(status) = child.try_wait()? {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            bail!("the cluster ended with {status}:\n{}", log.trim());
        }
        if begin.elapsed() > START_LIMIT {
            isolation::end(child.id())?;
            bail!("the cluster is not healthy after {} s; see {}", START_LIMIT.as_secs(), log_path.display());
        }
        thread::sleep(Duration::from_millis(200));
    }
    eprintln!("testbed: healthy after {} s", begin.elapsed().as_secs());
    print_usage()
}

fn print_usage() -> Result<()> {
    let holder = holder().context("no cluster runs")?;
    let enter = enter_words(holder)?.join(" ");
    let kubeconfig = folder().join("kubeconfig").display().to_string();
    let kubectl = components::program("kubectl")?;
    println!("KUBECONFIG={kubeconfig}");
    println!("enter:   {enter} env KUBECONFIG={kubeconfig} bash");
    println!("example: {enter} {} --kubeconfig {kubeconfig} top nodes", kubectl.display());
    println!("end:     make cluster-down");
    Ok(())
}

/// Ends the cluster that runs; nothing when there is none.
pub(crate) fn down() -> Result<()> {
    let Some(pid) = holder() else {
        eprintln!("testbed: no cluster runs");
        return Ok(());
    };
    isolation::end(pid)?;
    let begin = Instant::now();
    while Path::new(&format!("/proc/{pid}/exe")).exists() && begin.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(50));
    }
    fs::remove_dir_all(folder())?;
    eprintln!("testbed: ended");
    Ok(())
}

/// Runs the cluster in the foreground until it is killed.
pub(crate) fn run() -> Result<()> {
    isolation::enter()?;
    let _bed = Bed::start()?;
    fs::copy(Kubectl::admin().kubeconfig(), folder().join("kubeconfig"))?;
    loop {
        thread::park();
    }
}

/// Puts objects on the running cluster.
pub(crate) fn load(load: Load) -> Result<()> {
    if Kubectl::admin().kubeconfig().is_file() {
        let begin = Instant::now();
        testbed::load_running(&load)?;
        eprintln!("testbed: {load:?} created in {} s", begin.elapsed().as_secs());
        return Ok(());
    }
    let words = enter_words(holder().context("no cluster runs; start one with `make cluster`")?)?;
    let (program, arguments) = words.split_first().context("no command")?;
    let error = Command::new(program).args(arguments).arg(env::current_exe()?).args(env::args_os().skip(1)).exec();
    Err(error).context("cannot run `nsenter` (Debian package util-linux)")
}
