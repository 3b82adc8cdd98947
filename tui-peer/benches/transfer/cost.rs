//! What a process has used, as the kernel counts it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// What a process has used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// CPU seconds of all its threads, user and system.
    pub(crate) cpu: f64,
    /// Most memory resident so far, in MB; 0 once the process has ended.
    pub(crate) peak: f64,
}

/// Of a process that runs, or has ended and was not waited for.
pub(crate) fn cost(pid: u32) -> Cost {
    of(&PathBuf::from(format!("/proc/{pid}")))
}

fn of(proc: &Path) -> Cost {
    let stat = std::fs::read_to_string(proc.join("stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    let status = std::fs::read_to_string(proc.join("status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = peak.map_or(0.0, |peak| peak.trim().trim_end_matches(" kB").parse().unwrap());
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Cost { cpu: ticks as f64 / per_second, peak: kib * 1024.0 / 1e6 }
}

/// Time and CPU that something took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) seconds: f64,
    pub(crate) cpu: f64,
}

impl std::ops::Add for Spent {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self { seconds: self.seconds + more.seconds, cpu: self.cpu + more.cpu }
    }
}

/// What this process itself spends on `work`.
pub(crate) fn here(work: impl FnOnce()) -> Spent {
    let own = Path::new("/proc/self");
    let (begun, before) = (Instant::now(), of(own).cpu);
    work();
    Spent { seconds: begun.elapsed().as_secs_f64(), cpu: of(own).cpu - before }
}

/// What a command spends; `None` if there is no such program or it fails.
pub(crate) fn spent(program: &str, args: &[&str]) -> Option<Spent> {
    let begun = Instant::now();
    let mut command = Command::new(program);
    let mut child = command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    // Its counters are there until it is waited for.
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(&child)), ended).ok()?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = cost(child.id()).cpu;
    child.wait().ok()?.success().then_some(Spent { seconds, cpu })
}
