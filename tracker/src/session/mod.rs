//! One connection: frames in, calls to the index, frames out. A slow or hostile peer costs its own
//! connection and nothing else.

mod handshake;
mod invited;
mod names;
mod outbox;
mod probe;
mod rate;
mod reach;
mod requests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::channel::{Frame, FrameError, HEADER_LEN, SecureReader};
use common::clock::millis;
use common::id::PeerId;
use common::limits::{MAX_TEXT, MAX_TRACKER_FRAME};
use common::lock::Unpoisoned as _;
use common::membership::LIFETIME_SECS;
use common::net::{HalfOpenPlace, bound_send_buffer, plain};
use common::numbers::saturate;
use common::wire::Code;
use common::wire::tracker::{Hello, Reply, Welcome};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::controls::{Closing, Control};
use crate::entrance::Entrance;
use crate::index::{Arrival, Arrived, Push, Refusal, SessionId, named_outside};
use crate::relay::serve as relay;
use crate::shared::Shared;
use crate::store::{Commit, StoreError};
use handshake::{Admitted, First};
use outbox::Outbox;
use rate::Work;

pub use handshake::PROOF_ROLE;
pub(crate) use rate::{Rates, RatesByPeer};

/// Unsent bytes at which no further request is read: who does not read answers gets no more of them.
const READ_PAUSE: usize = 64 * 1024;
/// Bytes that the system keeps for one peer until it has taken them, twice that with its own: it would grow that to
/// 4 MB for who does not read. At 200 ms from here 600 KB a second pass through.
const SEND_BUFFER: usize = 64 * 1024;
/// Pushes after which others get their turn: a thousand watched contents may all have changed.
const PUSHES_A_TURN: u32 = 16;
/// Registrations waiting for the disk; further requests wait until one is through.
const MAX_PENDING: usize = 8;
/// When to try again at a tracker that is full.
const BUSY_RETRY_MS: u32 = 60_000;
/// Part of the time for silence that is left to a peer when that is over, before it counts.
const LAST_CHANCE: u32 = 32;
/// For the last words of a connection.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Memberships are renewed at half life.
const RENEW_AFTER: Duration = Duration::from_secs(LIFETIME_SECS / 2);

/// Serves one accepted connection to its end. Gives `half_open` back once it has said hello. The future is
/// small until then.
pub(crate) async fn serve(
    stream: TcpStream,
    from: SocketAddr,
    half_open: HalfOpenPlace,
    entrance: &Entrance,
    shared: &Shared,
) {
    let came = Instant::now();
    if shared.relay.is_some() {
        match relay::is_wanted(&stream, shared).await {
            Some(true) => return Box::pin(relay::serve(stream, half_open, shared)).await,
            Some(false) => {}
            None => return shared.metrics.refused.add(1),
        }
    }
    let observed = plain(from);
    let via = stream.local_addr().map_or(observed, plain);
    // Small answers should not wait for more.
    if stream.set_nodelay(true).is_err() || bound_send_buffer(&stream, SEND_BUFFER).is_err() {
        return;
    }
    // Its memory is given back before the session begins.
    let admitted = match Box::pin(handshake::admit(stream, came.elapsed(), shared)).await {
        Ok(First::Hello(admitted)) => admitted,
        Ok(First::Also(also)) => {
            let noted = seen_also(shared, also.peer, observed.ip());
            Box::pin(also.answer(noted.then_some(observed), shared)).await;
            return drop(half_open);
        }
        Err(refused) => {
            shared.metrics.refused.add(1);
            tracing::debug!(%from, "refused: {refused}");
            return;
        }
    };
    let Admitted { peer, hello, exporter, .. } = &*admitted;
    let who = (*peer, observed.ip());
    let refused = Box::pin(invited::check(shared, who, hello, exporter)).await.err();
    let served = serve_admitted(admitted, refused, (observed, via), half_open, entrance, shared);
    Box::pin(served).await;
}

/// Whether it counts that a peer is at an address of the other family too. Whoever says so pays for what that costs.
fn seen_also(shared: &Shared, peer: PeerId, ip: IpAddr) -> bool {
    let now = shared.clock.now_ms();
    if !shared.with_index(|index| index.is_connected(&peer)) {
        return false;
    }
    let rates = shared.rates_of(peer, now);
    if rates.lock().unpoisoned().admit(now).is_err() {
        shared.metrics.throttled.add(1);
        return false;
    }
    let touched = shared.with_index(|index| index.seen_also(peer, ip));
    if let Some(touched) = touched {
        rates.lock().unpoisoned().charge(Work::Touched, touched, now);
    }
    touched.is_some()
}

async fn serve_admitted(
    admitted: Box<Admitted>,
    refused: Option<Refusal>,
    (observed, via): (SocketAddr, SocketAddr),
    half_open: HalfOpenPlace,
    entrance: &Entrance,
    shared: &Shared,
) {
    let from = observed;
    let Admitted { mut reader, writer, peer, hello, version, exporter } = *admitted;
    let port = hello.port;
    let outbox = Outbox::new();
    let place = Place { observed, via, exporter };
    let begun = match refused {
        Some(refusal) => Err(refusal),
        None => Session::begin(shared, entrance, peer, place, hello, version, &outbox),
    };
    let mut session = match begun {
        Ok(session) => session,
        Err(Refusal { code, text, retry_ms }) => {
            outbox.push(&Reply::Error { q: 0, code, text: clip(&text), retry_ms });
            outbox.close();
            // Best effort.
            let _ = timeout(LAST_WORDS, outbox.write_to(writer, &shared.metrics)).await;
            return tracing::debug!(peer = %peer.short(), %from, "refused: {text}");
        }
    };
    let _seat = entrance.seat(shared, session.id, observed.ip());
    drop(half_open);
    // However this ends, also by a panic or at shutdown, the peer is not there any more.
    let _departure = Departure { shared, session: session.id };
    let writing = outbox.write_to(writer, &shared.metrics);
    let reading = async {
        let why = session.run(&mut reader, port).await;
        outbox.close();
        why
    };
    let mut writing = std::pin::pin!(writing);
    let mut reading = std::pin::pin!(reading);
    let why = tokio::select! {
        why = &mut reading => {
            // What was said last should arrive, if the peer still listens.
            let _ = timeout(LAST_WORDS, &mut writing).await;
            why
        }
        () = &mut writing => End::Broken(FrameError::Closed),
    };
    tracing::debug!(peer = %peer.short(), %from, "gone: {why}");
}

/// Takes the peer out of the index when dropped. What must be stored goes with the next change: there is one
/// every tick.
struct Departure<'a> {
    shared: &'a Shared,
    session: SessionId,
}

impl Drop for Departure<'_> {
    fn drop(&mut self) {
        self.shared.remove_control(self.session);
        let now = self.shared.clock.now_ms();
        self.shared.with_index(|index| index.depart(now, self.session));
    }
}

/// Where a connection comes from and goes to.
#[derive(Debug, Clone, Copy)]
struct Place {
    observed: SocketAddr,
    via: SocketAddr,
    exporter: [u8; 32],
}

struct Session<'a> {
    shared: &'a Shared,
    entrance: &'a Entrance,
    outbox: &'a Outbox,
    control: Arc<Control>,
    id: SessionId,
    peer: PeerId,
    place: Place,
    version: u8,
    rates: Arc<Mutex<Rates>>,
    rng: fastrand::Rng,
    /// Registrations waiting for the disk, oldest first.
    pending: VecDeque<(u32, Commit)>,
    heard: Instant,
    /// When it was found to be silent for too long.
    missed: Option<Instant>,
    renewed: Instant,
    /// Nothing is read before this: the peer sends faster than it may.
    paused_until: Option<Instant>,
    /// There may be something to push.
    has_news: bool,
    /// Requests refused for their rate since one was served.
    ignored: u32,
    /// Interval that the peer was last told.
    told_interval: u32,
    /// [`Shared::jumps`] when the peer was last welcomed.
    told_jumps: u64,
    /// [`Shared::revoked_version`] of the list that the peer was last told.
    told_revoked: u64,
    /// The port at which its router lets others in, by its word.
    outside: Option<u16>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Broken(#[from] FrameError),
    #[error("{0}")]
    Refused(String),
    #[error("silent for too long")]
    Silent,
    #[error("took nothing for too long")]
    Stalled,
    #[error("{}", .0.code())]
    Closed(Closing),
}

impl<'a> Session<'a> {
    fn begin(
        shared: &'a Shared,
        entrance: &'a Entrance,
        peer: PeerId,
        place: Place,
        hello: Hello,
        version: u8,
        outbox: &'a Outbox,
    ) -> Result<Self, Refusal> {
        let now = shared.clock.now_ms();
        let rates = shared.rates_of(peer, now);
        let admitted = rates.lock().unpoisoned().admit(now);
        if let Err(wait_ms) = admitted {
            shared.metrics.throttled.add(1);
            let text = "connected too often for so many shares; wait a little".to_owned();
            let retry_ms = saturate::<u32>(wait_ms);
            return Err(Refusal { code: Code::Rate, text, retry_ms });
        }
        let arrival = arrival(peer, place, &hello);
        let control = Arc::new(Control::default());
        let punches_from = punches_from(place, &hello);
        let arrived = shared.with_index(|index| {
            let arrived = index.arrive(now, arrival)?;
            index.may_punch(arrived.session, punches_from);
            index.may_count(arrived.session, hello.counts);
            // Under the index's lock: nobody can replace a session that cannot be found.
            shared.add_control(arrived.session, Arc::clone(&control));
            Ok(arrived)
        });
        let arrived = arrived.map_err(|refusal: Refusal| match refusal.retry_ms {
            0 => Refusal { retry_ms: BUSY_RETRY_MS, ..refusal },
            _ => refusal,
        })?;
        let Arrived { session: id, touched, replaced, .. } = arrived;
        if let Some(old) = replaced {
            shared.close(old, Closing::Replaced);
        }
        tracing::debug!(peer = %peer.short(), from = %place.observed, agent = ?hello.agent, "connected");
        let start = Instant::now();
        let session = Self {
            shared,
            entrance,
            outbox,
            control,
            id,
            peer,
            place,
            version,
            rates,
            rng: fastrand::Rng::new(),
            pending: VecDeque::new(),
            heard: start,
            missed: None,
            renewed: start,
            paused_until: None,
            has_news: true,
            ignored: 0,
            told_interval: shared.have_interval_ms.load(Ordering::Relaxed),
            told_jumps: shared.jumps.load(Ordering::Relaxed),
            told_revoked: 0,
            outside: named_outside(&hello.local, place.observed.ip()),
        };
        session.charge(Work::Touched, touched);
        Ok(session)
    }

    /// Serves to the end a peer that says it listens on `port`.
    async fn run(&mut self, reader: &mut SecureReader<TcpStream>, port: u16) -> End {
        let mut probing = self.look_for(port, Duration::ZERO);
        match self.shared.share_ok(self.id).await {
            Ok(share_ok) => self.welcome(share_ok),
            Err(error) => return self.refuse(Code::LocalIo, &error.to_string()),
        }
        loop {
            if let Some(closing) = self.control.closing() {
                return self.say_goodbye(closing).await;
            }
            if self.has_news {
                self.push_news().await;
            }
            if let Some(after) = probing.again(self.outside) {
                probing = self.look_for(port, after);
            }
            let silent = match self.look(Instant::now()) {
                Ok(silent) => silent,
                Err(end) => return end,
            };
            let may_read = self.outbox.unsent() < READ_PAUSE && self.pending.len() < MAX_PENDING;
            let paused = self.paused_until;
            tokio::select! {
                biased;
                () = self.control.wake.notified() => self.has_news = true,
                done = first(&mut self.pending) => self.finish_pending(done),
                () = until(paused), if paused.is_some() => self.paused_until = None,
                frame = reader.read(MAX_TRACKER_FRAME), if may_read && paused.is_none() => {
                    let handled = match frame {
                        Ok(frame) => self.handle(&frame).await,
                        Err(error) => Err(self.broken(error)),
                    };
                    if let Err(end) = handled {
                        return end;
                    }
                }
                () = self.outbox.written() => {}
                looked = probing.done() => self.was_looked_for(looked),
                // Only after a look whether there is something to read.
                () = std::future::ready(()), if silent => {
                    let text = "nothing heard for too long; send Ping while there is nothing to say";
                    self.say(Code::Timeout, text);
                    return End::Silent;
                }
            }
        }
    }

    async fn handle(&mut self, frame: &Frame) -> Result<(), End> {
        (self.heard, self.missed) = (Instant::now(), None);
        self.shared.metrics.frames_in.add(1);
        self.shared.metrics.bytes_in.add((HEADER_LEN + frame.body.len()) as u64);
        match common::wire::tracker::Request::decode(frame.kind, &frame.body) {
            // Of the size of the largest request: not kept while none is there.
            Ok(Some(request)) => Box::pin(self.request(request)).await,
            Ok(None) => Ok(()),
            Err(error) => Err(self.refuse(Code::Protocol, &error.to_string())),
        }
    }

    /// Writes what changed, as much as the peer takes. What it does not take now it is told later, as it is then.
    async fn push_news(&mut self) {
        let mut pushed = 0u32;
        while self.outbox.unsent() < self.shared.config.server.unsent {
            let jumps = self.shared.jumps.load(Ordering::Relaxed);
            if self.told_jumps != jumps {
                self.told_jumps = jumps;
                self.renew();
            }
            self.tell_revoked();
            let Self { id, rng, .. } = self;
            let Some(delta) = self.shared.with_index(|index| index.next_push(*id, rng)) else {
                self.has_news = false;
                return self.push_pace();
            };
            self.shared.metrics.deltas.add(1);
            match delta {
                Push::One(delta) => self.outbox.push(&delta),
                Push::All(delta) => self.outbox.push_shared(delta),
            }
            pushed += 1;
            if pushed.is_multiple_of(PUSHES_A_TURN) {
                tokio::task::yield_now().await;
            }
        }
        self.shared.metrics.skipped_pushes.add(1);
    }

    /// Whom nobody should talk to any more, if the peer does not know that yet.
    fn tell_revoked(&mut self) {
        let version = self.shared.revoked_version();
        if self.told_revoked != version {
            self.told_revoked = version;
            if let Some(signed) = self.shared.revoked() {
                self.outbox.push(&Reply::Revoked { signed: signed.to_vec() });
            }
        }
    }

    fn push_pace(&mut self) {
        let have_interval_ms = self.shared.have_interval_ms.load(Ordering::Relaxed);
        if self.told_interval != have_interval_ms {
            self.told_interval = have_interval_ms;
            self.outbox.push(&Reply::Pace { have_interval_ms });
            // It changes with the number of peers, as does the time over which to come back.
            self.renew();
        }
    }

    /// Looks at silence, stalls and the age of the membership, and says when the next look is due. There is no timer for
    /// that: whatever happens, and every sweep after that moment, comes by here. Returns whether the peer has been silent
    /// for too long, if there is nothing to read now.
    fn look(&mut self, now: Instant) -> Result<bool, End> {
        let timing = &self.shared.config.timing;
        let stands = self.outbox.stands_since().map(|since| since + timing.stalled);
        if stands.is_some_and(|end| now >= end) {
            self.shared.metrics.stalled.add(1);
            return Err(End::Stalled);
        }
        // Who may not be read cannot be blamed for being silent.
        let waited = self.outbox.unsent() >= READ_PAUSE
            || !self.pending.is_empty()
            || self.paused_until.is_some();
        if now >= self.renewed + RENEW_AFTER {
            self.renew();
        }
        let timing = &self.shared.config.timing;
        let mut end = self.heard + timing.silence;
        if now >= end && !waited {
            // What came while nothing was read, or while this whole process was held, is there within that.
            end = *self.missed.get_or_insert(now) + timing.silence / LAST_CHANCE;
        }
        let due = end.min(self.renewed + RENEW_AFTER).min(stands.unwrap_or(end));
        let left = millis(due.saturating_duration_since(now));
        self.control.look_at(self.shared.clock.now_ms().saturating_add(left));
        Ok(now >= end && !waited)
    }

    /// Welcomes the peer again: a new membership, and the time.
    fn renew(&mut self) {
        self.renewed = Instant::now();
        self.welcome(true);
    }

    fn finish_pending(&mut self, result: Result<(), StoreError>) {
        let Some((q, _)) = self.pending.pop_front() else { return };
        match result {
            Ok(()) => self.outbox.push(&Reply::Done { q }),
            Err(error) => {
                self.shared.metrics.store_errors.add(1);
                self.fail(q, Code::LocalIo, &error.to_string(), requests::DISK_RETRY_MS);
            }
        }
    }

    async fn say_goodbye(&mut self, closing: Closing) -> End {
        match &closing {
            Closing::Replaced => {
                self.say(closing.code(), "the same peer connected again; this connection ends");
            }
            Closing::Crowded => {
                let text = "too many peers, and most of them at your address; try again later";
                self.fail(0, closing.code(), text, BUSY_RETRY_MS);
            }
            Closing::Banned(text) => {
                if let Some(relay) = &self.shared.relay {
                    relay.end(Some(&self.peer));
                }
                self.say(closing.code(), text);
            }
            Closing::Goaway(delay_ms) => {
                self.outbox.push(&Reply::Goaway { delay_ms: *delay_ms });
                while !self.pending.is_empty() {
                    let done = first(&mut self.pending).await;
                    self.finish_pending(done);
                }
            }
        }
        End::Closed(closing)
    }

    fn welcome(&self, share_ok: bool) {
        let heartbeat = self.shared.config.timing.heartbeat.as_secs();
        self.outbox.push(&Reply::Welcome(Welcome {
            version: self.version,
            membership: self.shared.membership(&self.peer),
            observed: self.place.observed,
            epoch: self.shared.epoch,
            now_ms: self.shared.clock.wall_ms(),
            heartbeat_s: saturate::<u16>(heartbeat),
            have_interval_ms: self.told_interval,
            share_ok,
            spread_ms: Some(self.shared.spread_ms.load(Ordering::Relaxed)),
            lists_members: true,
            looks_inside: true,
            read_only: self.shared.with_index(|index| index.is_read_only(self.id)),
            other_family: Some(self.entrance.other_family(self.place.via)),
            relays: self.shared.relay.is_some(),
            hosts: self.shared.hosts.get().cloned(),
        }));
    }

    fn broken(&self, error: FrameError) -> End {
        if matches!(error, FrameError::TooLong { .. } | FrameError::Empty) {
            self.say(Code::Protocol, &error.to_string());
        }
        End::Broken(error)
    }

    /// Ends the connection with a reason.
    fn refuse(&self, code: Code, text: &str) -> End {
        self.say(code, text);
        End::Refused(text.to_owned())
    }

    fn say(&self, code: Code, text: &str) {
        self.fail(0, code, text, 0);
    }

    fn fail(&self, q: u32, code: Code, text: &str, retry_ms: u32) {
        self.outbox.push(&Reply::Error { q, code, text: clip(text), retry_ms });
    }
}

/// Waits until a pause is over.
async fn until(pause: Option<Instant>) {
    match pause {
        Some(pause) => sleep_until(pause).await,
        None => std::future::pending().await,
    }
}

/// Resolves when the oldest pending registration is on disk; never while there is none.
async fn first(pending: &mut VecDeque<(u32, Commit)>) -> Result<(), StoreError> {
    match pending.front_mut() {
        Some((_, commit)) => commit.await.unwrap_or(Err(StoreError::Closed)),
        None => std::future::pending().await,
    }
}

fn arrival(peer: PeerId, place: Place, hello: &Hello) -> Arrival {
    Arrival {
        peer,
        nick: hello.nick.clone(),
        observed: place.observed.ip(),
        via: place.via.ip(),
        port: hello.port,
        local: hello.local.clone(),
        digest: hello.digest,
    }
}

/// The port from which a peer calls others when it is asked to.
fn punches_from(place: Place, hello: &Hello) -> Option<u16> {
    (hello.punches && hello.port != 0).then_some(place.observed.port())
}

/// A text within the limit of the wire.
fn clip(text: &str) -> String {
    let mut text = text.to_owned();
    while text.len() > MAX_TEXT {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a future that is never made.
    fn size<F: Future>(_: impl FnOnce() -> F) -> usize {
        size_of::<F>()
    }

    fn never<T>() -> T {
        unreachable!("only its type counts")
    }

    #[test]
    fn a_connection_takes_little_memory() {
        let stranger = size(|| serve(never(), never(), never(), never(), never()));
        let session = size(|| serve_admitted(never(), never(), never(), never(), never(), never()));
        assert!(stranger <= 800, "{stranger} bytes until a hello");
        assert!(session <= 3072, "{session} bytes after it");
    }
}
