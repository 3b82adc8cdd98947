//! Connections between two peers of which neither can reach the other: each opens one to the tracker, with a token that
//! it was given, and what comes in at one goes out at the other. It is sealed for the peers; nothing of it is read here.

mod pace;
pub(crate) mod serve;
mod splice;
mod waiting;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use common::id::PeerId;
use common::lock::Unpoisoned as _;
use common::net::AddrGroup;
use common::numbers::saturate;
use common::relay::Token;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::config::RelayLimits;
use pace::Pace;
use waiting::{Pair, Waiting};

/// What stands before the relay for so long does not get longer: a handshake needs three times as long to come through.
const LATE: Duration = Duration::from_secs(1);
/// Time from the tokens to both connections.
const TOKEN_LIFE: Duration = Duration::from_secs(10);

/// The relay of one tracker.
#[derive(Debug)]
pub(crate) struct Relay {
    limits: RelayLimits,
    waiting: Mutex<Waiting<TcpStream>>,
    all: Pace,
    running: Mutex<Running>,
}

/// Connections between two, each with what ends it.
#[derive(Debug, Default)]
struct Running {
    last: u64,
    pairs: BTreeMap<u64, (Pair, Arc<Notify>)>,
}

impl Relay {
    /// For a process that may open so many descriptors: a fifth of them at most are for relayed connections.
    pub(crate) fn new(limits: RelayLimits, descriptors: u64) -> Self {
        let fit = saturate::<usize>(descriptors / 10);
        let limits = RelayLimits { pairs: limits.pairs.min(fit), ..limits };
        let (waiting, all) = (Mutex::new(Waiting::new(limits)), Pace::new(limits.all));
        Self { limits, waiting, all, running: Mutex::default() }
    }

    /// Descriptors that it may need.
    pub(crate) fn descriptors(&self) -> u64 {
        saturate::<u64>(self.limits.pairs).saturating_mul(2)
    }

    /// Tokens for the two ends of a connection, that of who asks first; `None` if too many are wanted or running
    /// already, or so much waits to go out that another would not come up.
    pub(crate) fn offer(
        &self,
        asks: PeerId,
        group: Option<AddrGroup>,
        source: PeerId,
    ) -> Option<[Token; 2]> {
        if self.all.debt() > LATE {
            return None;
        }
        let tokens = [Token::random()?, Token::random()?];
        let pair = Pair { asks, group, source };
        self.waiting().offer(Instant::now(), TOKEN_LIFE, pair, tokens).then_some(tokens)
    }

    /// An offer that could not be passed on.
    pub(crate) fn withdraw(&self, token: &Token) {
        self.waiting().withdraw(token);
    }

    /// Lets those go whose other end did not come in time.
    pub(crate) fn expire(&self) {
        self.waiting().expire(Instant::now());
    }

    /// Pairs at present.
    pub(crate) fn running(&self) -> usize {
        self.running.lock().unpoisoned().pairs.len()
    }

    /// Ends those of a peer, or all.
    pub(crate) fn end(&self, of: Option<&PeerId>) {
        let running = self.running.lock().unpoisoned();
        let ended = running.pairs.values().filter(|(pair, _)| of.is_none_or(|peer| pair.has(peer)));
        ended.for_each(|(_, end)| end.notify_one());
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<TcpStream>> {
        self.waiting.lock().unpoisoned()
    }

    fn begin(&self, pair: Pair) -> Run<'_> {
        let end = Arc::new(Notify::new());
        let mut running = self.running.lock().unpoisoned();
        running.last += 1;
        let number = running.last;
        running.pairs.insert(number, (pair, end.clone()));
        Run { relay: self, number, pair, end }
    }
}

/// A connection between two, counted until it is dropped.
struct Run<'a> {
    relay: &'a Relay,
    number: u64,
    pair: Pair,
    end: Arc<Notify>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.relay.running.lock().unpoisoned().pairs.remove(&self.number);
        self.relay.waiting().over(&self.pair);
    }
}
