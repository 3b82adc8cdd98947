//! What comes of a run, and what it looks like on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use swarm::event::Notice;
use swarm::time::Time;

use super::network::{Network, Peer};

/// What came of a run.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Seconds from joining until each honest leecher that stayed was done.
    pub(crate) times: Vec<f64>,
    /// Copies sent by all seeds together.
    pub(crate) seed_copies: f64,
    /// Bytes received and not used, as a share of all received.
    pub(crate) waste: f64,
    /// Fairness of what leechers uploaded by their uplink: Jain's index, 1 if all gave alike.
    pub(crate) fairness: f64,
    /// Messages sent per chunk received, over all peers.
    pub(crate) messages: f64,
    /// Hash ranges served by seeds, as a share of all.
    pub(crate) seed_hashes: f64,
    /// Notices of everybody.
    pub(crate) notices: Vec<Notice>,
    pub(crate) unfinished: usize,
    /// What those who never finished look like.
    pub(crate) stuck: Vec<String>,
}

impl Outcome {
    /// Seconds until the last was done.
    pub(crate) fn last(&self) -> f64 {
        self.times.iter().copied().fold(0.0, f64::max)
    }

    pub(crate) fn mean(&self) -> f64 {
        self.times.iter().sum::<f64>() / self.times.len().max(1) as f64
    }
}

/// Jain's fairness index of some shares.
fn jain(shares: &[f64]) -> f64 {
    let (sum, squares) = shares.iter().fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
    if squares > 0.0 { sum * sum / (shares.len() as f64 * squares) } else { 1.0 }
}

impl Network {
    /// Runs until every honest leecher that stays is done, or the time is up.
    pub(crate) fn run(&mut self, limit: Duration) -> Outcome {
        self.run_until(Time::ZERO + limit);
        self.outcome()
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let total: u64 = self.payloads().map(|payload| payload.layout.total()).sum();
        let total = total as f64;
        let counted: Vec<&Peer> = self.peers.iter().filter(|p| p.spec.counts()).collect();
        let sum = |of: &dyn Fn(&Peer) -> u64| self.peers.iter().map(of).sum::<u64>() as f64;
        let received: u64 = counted.iter().map(|p| p.received).sum();
        let wasted: u64 = counted.iter().map(|p| p.wasted).sum();
        let gave: Vec<f64> = counted.iter().map(|p| p.uplink.sent as f64 / p.spec.up).collect();
        let chunks = sum(&|p| p.received) / f64::from(self.payload.layout.chunk_len());
        let by_seeds = |p: &Peer| if p.spec.seed { p.answered_hashes } else { 0 };
        Outcome {
            times: counted
                .iter()
                .filter_map(|p| p.done.map(|t| t.since(Time::ZERO + p.spec.joins).as_secs_f64()))
                .collect(),
            seed_copies: sum(&|p| if p.spec.seed { p.uplink.sent } else { 0 }) / total,
            waste: wasted as f64 / received.max(1) as f64,
            fairness: jain(&gave),
            messages: sum(&|p| p.messages) / chunks.max(1.0),
            seed_hashes: sum(&by_seeds) / sum(&|p| p.answered_hashes).max(1.0),
            notices: self.peers.iter().flat_map(|p| p.notices.clone()).collect(),
            stuck: counted.iter().filter(|p| p.done.is_none()).map(|p| self.describe(p)).collect(),
            unfinished: counted.iter().filter(|p| p.done.is_none()).count(),
        }
    }

    /// Copies over time, `lines` of them until `end` (seconds), and on until all are done.
    pub(crate) fn print_timeline(&mut self, end: f64, lines: u32) {
        println!(
            "{:>8} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}",
            "seconds", "seed", "seen", "least", "mean", "most", "seed%", "up%", "waste%"
        );
        let step = end / f64::from(lines);
        let mut before = (0.0, 0.0);
        for line in 1.. {
            let at = step * f64::from(line);
            let done = self.run_until(Time::ZERO + Duration::from_secs_f64(at));
            before = self.print_line(at, step, before);
            if done || line > lines * 4 {
                break;
            }
        }
    }

    fn print_line(&self, at: f64, step: f64, before: (f64, f64)) -> (f64, f64) {
        let layout = &self.payload.layout;
        let total = layout.total() as f64;
        let views: Vec<_> = self.peers.iter().filter(|p| !p.spec.seed && p.alive).collect();
        let mut seen = vec![false; layout.chunks() as usize];
        let mut shares = Vec::new();
        for peer in &views {
            let Some(view) = peer.node.content(&self.payload.id, self.now) else { continue };
            view.have.iter().for_each(|chunk| seen[chunk as usize] = true);
            shares.push(f64::from(view.have.count()) / f64::from(layout.chunks()));
        }
        let seeds = || self.peers.iter().filter(|p| p.spec.seed);
        let sent = |p: &Peer| p.uplink.sent as f64;
        let (seed, others) =
            (seeds().map(sent).sum::<f64>(), views.iter().map(|p| sent(p)).sum::<f64>());
        let capacity = |ups: f64| 100.0 / (ups * step);
        let wasted: u64 = views.iter().map(|p| p.wasted).sum();
        let received: u64 = views.iter().map(|p| p.received).sum();
        println!(
            "{at:>8.2} {:>6.3} {:>6.3} {:>6.3} {:>6.3} {:>6.3} {:>6.1} {:>6.1} {:>6.2}",
            seed / total,
            seen.iter().filter(|s| **s).count() as f64 / seen.len() as f64,
            shares.iter().copied().fold(1.0, f64::min),
            shares.iter().sum::<f64>() / shares.len().max(1) as f64,
            shares.iter().copied().fold(0.0, f64::max),
            (seed - before.0) * capacity(seeds().map(|p| p.spec.up).sum()),
            (others - before.1) * capacity(views.iter().map(|p| p.spec.up).sum()),
            100.0 * wasted as f64 / received.max(1) as f64,
        );
        (seed, others)
    }

    /// Megabits per second up and down of every peer, in each period from a moment on.
    pub(crate) fn print_rates(&mut self, from: Duration, period: Duration, periods: u32) {
        let count = |n: &Self| -> Vec<(u64, u64)> {
            n.peers.iter().map(|p| (p.uplink.sent, p.received)).collect()
        };
        let mut before = count(self);
        for line in 1..=periods {
            let done = self.run_until(Time::ZERO + from + period * line);
            let now = count(self);
            let mbit = |bytes: u64| bytes as f64 * 8e-6 / period.as_secs_f64();
            let pairs = || now.iter().zip(&before);
            let up: Vec<_> = pairs().map(|(a, b)| format!("{:4.0}", mbit(a.0 - b.0))).collect();
            let down: Vec<_> = pairs().map(|(a, b)| format!("{:4.0}", mbit(a.1 - b.1))).collect();
            let at = period.as_secs_f64() * f64::from(line);
            println!("{at:6.2} {} |{}", up.join(""), down.join(""));
            before = now;
            if done {
                break;
            }
        }
    }

    /// What peers served in each period: first copies from there and others, by who chose the chunk, and to whom.
    pub(crate) fn print_served(&self, from: Duration, period: Duration) {
        for (i, peer) in self.peers.iter().enumerate() {
            let mut sent = BTreeSet::new();
            let mut lines: BTreeMap<u128, ([[u32; 2]; 2], Vec<u32>)> = BTreeMap::new();
            for (time, to, chunk, chosen) in &peer.served {
                let again = !sent.insert(*chunk);
                let at = time.since(Time::ZERO + from).as_millis() / period.as_millis();
                let (counts, by) = lines.entry(at).or_default();
                by.resize(self.peers.len(), 0);
                counts[usize::from(again)][usize::from(*chosen)] += 1;
                by[*to] += 1;
            }
            println!("peer {i}: new asked, new chosen, again asked, again chosen; to whom");
            for (at, ([[na, nc], [aa, ac]], by)) in lines {
                let at = at as f64 * period.as_secs_f64();
                println!("{at:>8.2} {na:>5} {nc:>5} {aa:>5} {ac:>5}   {by:?}");
            }
        }
    }

    fn describe(&self, peer: &Peer) -> String {
        let Some(view) = peer.node.content(&self.payload.id, self.now) else {
            return "unknown".to_owned();
        };
        let lacks: Vec<u32> =
            (0..self.payload.layout.chunks()).filter(|c| !view.have.contains(*c)).take(8).collect();
        let flying: Vec<bool> = lacks.iter().map(|c| view.in_flight(*c)).collect();
        let sources: Vec<String> = view
            .sources
            .iter()
            .map(|s| {
                let rate = s.down_rate / 1e3;
                let (word, have, pipe, choked) = (&s.word, s.have, &s.pipe, s.choked_by);
                format!("{word:?} have {have} pipe {pipe:?} choked {choked} rate {rate:.0} k")
            })
            .collect();
        let rate = view.down_rate;
        let n = view.wanted.count() - view.wanted_here;
        format!("rate {rate} missing {n} lacks {lacks:?}, in flight {flying:?}, of {sources:#?}")
    }
}
