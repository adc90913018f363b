//! The processes of a server.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub const PID_FILE: &str = "postmaster.pid";

const PATIENCE: Duration = Duration::from_secs(20);

/// Kills the postmaster of a data directory and all of its children, and waits until they are gone.
pub fn kill_all(data: &Path) {
    let postmaster = postmaster_of(data);
    let mut left = running_in(data);
    assert!(
        left.contains(&postmaster),
        "postmaster {postmaster} is not among {left:?}"
    );
    // First, so that it cannot tidy up behind its children.
    left.sort_unstable_by_key(|process| *process != postmaster);
    let deadline = Instant::now() + PATIENCE;
    // Again and again: the postmaster may have started a child meanwhile.
    while !left.is_empty() {
        assert!(Instant::now() < deadline, "still running: {left:?}");
        kill(&left);
        sleep(Duration::from_millis(5));
        left = running_in(data);
    }
}

fn postmaster_of(data: &Path) -> u32 {
    let file = fs::read_to_string(data.join(PID_FILE)).expect("a running server");
    let first = file.lines().next().expect("a process id");
    first.parse().expect("a process id")
}

/// The processes whose current directory is the data directory: every process of a server's.
/// A dead one that nobody has waited for has none.
fn running_in(data: &Path) -> Vec<u32> {
    let data = data.canonicalize().expect("the data directory");
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == data))
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}

/// Not checked: a process that has died meanwhile is as good as killed.
fn kill(processes: &[u32]) {
    let ids = processes.iter().map(ToString::to_string);
    let killed = Command::new("kill").arg("-KILL").args(ids).output();
    killed.expect("the program kill");
}

/// The most memory, in bytes, that a process has had in use at any one time.
#[must_use]
pub fn peak_memory(process: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    1024 * kilobytes
        .and_then(|kilobytes| kilobytes.parse::<u64>().ok())
        .expect("VmHWM in kB")
}
