//! What a process costs, as the kernel counts it.

use std::fs;
use std::time::{Duration, Instant};

use super::terminal::Terminal;

/// A pause this long is rest.
const REST: Duration = Duration::from_millis(60);
/// Longest wait for rest: a program at work never rests.
const MOST: Duration = Duration::from_millis(100);

/// What a program did in a span of time.
pub(crate) struct Cost {
    pub(crate) bytes: u64,
    run: Duration,
    switches: u64,
    over: Duration,
}

impl Cost {
    /// Watches for `time`.
    pub(crate) fn of(app: &Terminal, time: Duration) -> Self {
        let (bytes, run, switches) = (app.seen().bytes, run_time(app), switches(app));
        let begun = Instant::now();
        std::thread::sleep(time);
        Self {
            bytes: app.seen().bytes - bytes,
            run: run_time(app).saturating_sub(run),
            switches: self::switches(app).saturating_sub(switches),
            over: begun.elapsed(),
        }
    }

    pub(crate) fn cpu(&self) -> String {
        format!("{:.3} %", 100.0 * self.run.as_secs_f64() / self.over.as_secs_f64())
    }

    pub(crate) fn wakeups(&self) -> String {
        format!("{:.2}/s", self.switches as f64 / self.over.as_secs_f64())
    }

    pub(crate) fn rate(&self) -> String {
        format!("{:.2} kB/s", self.bytes as f64 / self.over.as_secs_f64() / 1e3)
    }
}

/// Waits until nothing has been written for a moment.
pub(crate) fn settle(app: &Terminal) {
    let begun = Instant::now();
    loop {
        let quiet = app.seen().at.elapsed();
        if quiet >= REST || begun.elapsed() > MOST {
            return;
        }
        std::thread::sleep(REST - quiet);
    }
}

/// Resident memory in bytes.
pub(crate) fn rss(app: &Terminal) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{}/status", app.pid().as_raw_nonzero())).unwrap();
    number(&status, "VmRSS:") * 1024
}

/// Time on a processor, all threads.
fn run_time(app: &Terminal) -> Duration {
    let nanos = tasks(app, "schedstat")
        .iter()
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanos)
}

/// How often its threads went to sleep of their own accord: each time one woke before.
fn switches(app: &Terminal) -> u64 {
    tasks(app, "status").iter().map(|text| number(text, "voluntary_ctxt_switches:")).sum()
}

fn tasks(app: &Terminal, file: &str) -> Vec<String> {
    let dir = format!("/proc/{}/task", app.pid().as_raw_nonzero());
    fs::read_dir(dir)
        .unwrap()
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join(file)).ok())
        .collect()
}

fn number(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
