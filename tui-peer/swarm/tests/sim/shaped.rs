//! Crowds on shaped links, as `../shared/bench` B measures them with the real programs: 64 MiB, one seed,
//! everybody starts at once.
//! `cargo test -p swarm --test sim -- --ignored --nocapture shaped_table`

use std::time::Duration;

use super::network::Network;
use super::outcome::Outcome;
use super::payload::Payload;
use super::spec::{MIB, Spec, bound};
use super::start::Start;
use super::{config, finish};

/// Bytes per second of one Mbit/s.
const MBIT: f64 = 125_000.0;
/// What TCP leaves of a line for payload.
const GOODPUT: f64 = 1448.0 / 1514.0;
const SIZE: u64 = 64 * MIB;
/// The seed has been running for a while.
const BEFORE: Duration = Duration::from_millis(1500);

/// A crowd, what the real programs are to reach, and what the cores must here.
struct Crowd {
    name: &'static str,
    leechers: usize,
    /// Mbit/s, both ways.
    rate: f64,
    /// Mbit/s up of every second one.
    slow: f64,
    /// Last completion over the fluid bound at line rate, of which TCP alone takes 1.046: the goal,
    goal: f64,
    /// what the real programs took, median of three runs on a quiet machine (bc09dc0),
    real: f64,
    /// and with every seed.
    last: f64,
    /// Copies the seed sends until all are done. One that sends all the time, as it must where uplinks are
    /// what is short, sends 1.5 in the time of the third.
    copies: f64,
}

const CROWDS: [Crowd; 3] = [
    Crowd {
        name: "8 of 100",
        leechers: 8,
        rate: 100.0,
        slow: 100.0,
        goal: 1.10,
        real: 1.240,
        last: 1.14,
        copies: 1.08,
    },
    Crowd {
        name: "16 of 50",
        leechers: 16,
        rate: 50.0,
        slow: 50.0,
        goal: 1.12,
        real: 1.245,
        last: 1.14,
        copies: 1.08,
    },
    Crowd {
        name: "8 of 100, 4 with 10 up",
        leechers: 8,
        rate: 100.0,
        slow: 10.0,
        goal: 1.20,
        real: 1.455,
        last: 1.20,
        copies: 1.62,
    },
];

impl Crowd {
    fn specs(&self, part: f64) -> Vec<Spec> {
        let unit = MBIT * part;
        let mut specs = vec![Spec::new(self.rate * unit, self.rate * unit, true)];
        specs.extend((0..self.leechers).map(|i| {
            let up = if i % 2 == 1 { self.slow } else { self.rate };
            Spec { joins: BEFORE, ..Spec::new(up * unit, self.rate * unit, false) }
        }));
        specs
    }

    fn network(&self, start: Start, seed: u64) -> Network {
        let specs = self.specs(GOODPUT);
        Network::new(Payload::file(SIZE), &specs, &config(), seed).with_start(start)
    }

    fn run(&self, start: Start, seed: u64) -> (Outcome, f64) {
        finish(self.network(start, seed), bound(SIZE, &self.specs(1.0)), seed)
    }
}

/// A start, but for what `SIM_START` says: `queue=50 ready=100`, in milliseconds.
fn start(mut start: Start) -> Start {
    let changes = std::env::var("SIM_START").unwrap_or_default();
    for (name, value) in changes.split_whitespace().filter_map(|change| change.split_once('=')) {
        let time = Duration::from_secs_f64(value.parse::<f64>().expect("milliseconds") / 1e3);
        match name {
            "ready" => start.ready = time,
            "apart" => start.apart = time,
            "delay" => start.delay = time,
            "crypto" => start.crypto = time,
            "queue" => start.queue = time,
            "window" => start.window = (time.as_secs_f64() * 1e3) as u32,
            "least" => start.least_queue = time.as_secs_f64() * 1e3,
            "beginners" => start.names_beginners = !time.is_zero(),
            "tick" => start.tick = time,
            "hurry" => start.hurry = time,
            "first" => start.first = time,
            "sync" => start.sync = time,
            "ends" => start.ends = time,
            _ => panic!("SIM_START: {name} is not known"),
        }
    }
    start
}

#[test]
#[ignore = "prints the table of crowds on shaped links"]
fn shaped_table() {
    println!("a machine for each peer");
    print_table(start(Start::default()));
    println!("all on one machine");
    print_table(start(Start::on_one_machine()));
    println!("all on one machine, if the tracker named who begins");
    print_table(start(Start::on_one_machine().if_beginners_were_named()));
}

fn print_table(start: Start) {
    let seeds = super::seeds(5);
    let only = std::env::var("SIM").unwrap_or_default();
    println!(
        "{:<28}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "", "median", "worst", "goal", "real", "mean", "first", "copies", "waste"
    );
    for crowd in CROWDS.iter().filter(|crowd| crowd.name.contains(&only)) {
        let runs: Vec<_> = (0..seeds).map(|seed| crowd.run(start, seed)).collect();
        let least = bound(SIZE, &crowd.specs(1.0));
        let median = |of: &dyn Fn(&Outcome) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(|(outcome, _)| of(outcome)).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let first = |o: &Outcome| o.times.iter().copied().fold(f64::INFINITY, f64::min);
        println!(
            "{:<28}{:>8.3}{:>8.3}{:>8.2}{:>8.3}{:>8.3}{:>8.3}{:>8.3}{:>7.2}%",
            crowd.name,
            median(&Outcome::last) / least,
            runs.iter().map(|run| run.1).fold(0.0, f64::max),
            crowd.goal,
            crowd.real,
            median(&Outcome::mean) / least,
            median(&first) / least,
            median(&|o| o.seed_copies),
            median(&|o| o.waste) * 100.0,
        );
    }
}

#[test]
fn crowds_on_shaped_links_keep_to_their_limits() {
    for crowd in &CROWDS {
        let (outcome, last) = crowd.run(start(Start::default()), 1);
        let (copies, waste) = (outcome.seed_copies, outcome.waste);
        println!("{}: last {last:.3}, {copies:.3} copies, waste {waste:.4}", crowd.name);
        assert!(last <= crowd.last, "{}: last at {last:.3}", crowd.name);
        assert!(copies <= crowd.copies, "{}: {copies:.3} copies", crowd.name);
        assert!(waste <= 0.025, "{}: waste {waste:.4}", crowd.name);
    }
}

/// What everybody carries in each quarter of a second; what is sent as a first copy from there and what
/// again, who chose it, and to whom it goes.
#[test]
#[ignore = "prints what a seed sends when"]
fn shaped_timeline() {
    let only = std::env::var("SIM").unwrap_or_else(|_| "with 10 up".to_owned());
    for crowd in CROWDS.iter().filter(|crowd| crowd.name.contains(&only)) {
        println!("{}", crowd.name);
        let mut network = crowd.network(start(Start::on_one_machine()), 0);
        let period = Duration::from_millis(250);
        network.print_rates(BEFORE, period, 60);
        network.print_served(BEFORE, period);
    }
}
