//! Questions of somebody who looks: who is in the network, and what one member shares. Each gets exactly one answer,
//! whatever becomes of the connection; nothing is asked that nobody waits for, and nothing of the answers is kept.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use common::id::PeerId;
use common::limits::{MAX_FIND_ROWS, MAX_LIST_ROWS, MAX_MEMBER_CURSOR, MAX_MEMBERS, MAX_QUERY};
use common::names::{cut, show};
use common::numbers::saturate;
use common::wire::Code;
use common::wire::tracker::{FileRow, FoundRow, Member, Request};
use tokio::sync::oneshot;

use super::addrs::Place;
use super::mirror;
use crate::api::command::{CommandError, CommandErrorKind, Reply};
use crate::api::snapshot::{Found, FoundInside, MemberRow, Page};

/// Questions that wait or are under way: a person looks at one list at a time, and a few programs may.
const MAX_ASKS: usize = 16;
/// How often a question is asked again that the tracker had no time for.
const MAX_TRIES: u32 = 5;
/// Shortest and longest wait before that, whatever the tracker says.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));

/// Why a tracker of an earlier version is not asked.
const OLDER: &str = "this tracker is older: it does not list members";
const OLDER_INSIDE: &str = "this tracker is older: it does not look inside folders";

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A page of who is in the network.
    Members {
        /// Part of a nick, or the beginning of a key; empty for all.
        query: String,
        /// Where the last page ended.
        cursor: Vec<u8>,
    },
    /// A page of what one member shares.
    Files {
        /// Whose.
        peer: PeerId,
        /// Where the last page ended.
        cursor: Vec<u8>,
    },
    /// Folders in which files have these words.
    Find {
        /// Words, and alternatives with `|` between them.
        query: String,
    },
}

impl Ask {
    /// Where the last page ended.
    fn cursor(&self) -> &[u8] {
        match self {
            Self::Members { cursor, .. } | Self::Files { cursor, .. } => cursor,
            Self::Find { .. } => &[],
        }
    }

    /// Why a tracker of an earlier version is not asked this.
    fn older(&self) -> &'static str {
        match self {
            Self::Members { .. } | Self::Files { .. } => OLDER,
            Self::Find { .. } => OLDER_INSIDE,
        }
    }
}

/// Where the answer goes.
pub(crate) type Answering = oneshot::Sender<Result<Reply, CommandError>>;

/// A question that waits for its answer; one that is dropped is answered too.
#[derive(Debug)]
struct Asked {
    ask: Ask,
    tries: u32,
    reply: Option<Answering>,
}

impl Asked {
    fn answer(mut self, answer: Result<Reply, CommandError>) {
        if let Some(reply) = self.reply.take() {
            // Who no longer waits is fine.
            let _ = reply.send(answer);
        }
    }

    fn refuse(self, kind: CommandErrorKind, message: impl Into<String>) {
        self.answer(Err(CommandError { kind, message: message.into() }));
    }

    fn refuse_as_older(self) {
        let why = self.ask.older();
        self.refuse(CommandErrorKind::Invalid, why);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            let message = "the connection to the tracker ended; ask again".to_owned();
            let _ = reply.send(Err(CommandError { kind: CommandErrorKind::Invalid, message }));
        }
    }
}

/// Which of the questions a tracker understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Knows {
    /// Who is in the network, and what they share.
    pub(super) lists_members: bool,
    /// What is inside folders.
    pub(super) looks_inside: bool,
}

impl Knows {
    fn ask(self, ask: &Ask) -> bool {
        match ask {
            Ask::Members { .. } | Ask::Files { .. } => self.lists_members,
            Ask::Find { .. } => self.looks_inside,
        }
    }
}

/// All questions of one connection.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// What the tracker understands; `None` before its welcome.
    knows: Option<Knows>,
    waiting: VecDeque<Asked>,
    /// By the number of the request.
    sent: HashMap<u32, Asked>,
    /// The tracker wants none before this.
    paused_until: Option<Instant>,
}

impl Asks {
    pub(super) fn push(&mut self, ask: Ask, reply: Answering) {
        let ask = match ask {
            Ask::Members { query, cursor } => {
                Ask::Members { query: cut(&query, MAX_QUERY).to_owned(), cursor }
            }
            Ask::Find { query } => Ask::Find { query: cut(&query, MAX_QUERY).to_owned() },
            files @ Ask::Files { .. } => files,
        };
        let asked = Asked { ask, tries: 0, reply: Some(reply) };
        if self.knows.is_some_and(|knows| !knows.ask(&asked.ask)) {
            return asked.refuse_as_older();
        }
        if asked.ask.cursor().len() > MAX_MEMBER_CURSOR {
            return asked.refuse(CommandErrorKind::Invalid, "no page ends there; start anew");
        }
        if self.waiting.len() + self.sent.len() >= MAX_ASKS {
            let busy = "too many questions to the tracker at once; ask again";
            return asked.refuse(CommandErrorKind::Invalid, busy);
        }
        self.waiting.push_back(asked);
    }

    /// The tracker has let us in and says which of these questions it understands.
    pub(super) fn welcomed(&mut self, knows: Knows) {
        self.knows = Some(knows);
        for asked in std::mem::take(&mut self.waiting) {
            if knows.ask(&asked.ask) {
                self.waiting.push_back(asked);
            } else {
                asked.refuse_as_older();
            }
        }
    }

    /// The connection is over, or did not come up.
    pub(super) fn lost(&mut self) {
        *self = Self::default();
    }

    /// The next question, numbered by `number`.
    pub(super) fn next(
        &mut self,
        now: Instant,
        number: impl FnOnce(&Ask) -> u32,
    ) -> Option<Request> {
        if self.knows.is_none() || self.paused_until.is_some_and(|until| now < until) {
            return None;
        }
        self.paused_until = None;
        let asked = loop {
            let asked = self.waiting.pop_front()?;
            // Nobody waits for it any more.
            if !asked.reply.as_ref().is_none_or(oneshot::Sender::is_closed) {
                break asked;
            }
        };
        let q = number(&asked.ask);
        let request = match asked.ask.clone() {
            Ask::Members { query, cursor } => {
                Request::Members { q, query, cursor, limit: wire(MAX_MEMBERS) }
            }
            Ask::Files { peer, cursor } => {
                Request::MemberFiles { q, peer, cursor, limit: wire(MAX_LIST_ROWS) }
            }
            Ask::Find { query } => Request::Find { q, query, limit: wire(MAX_FIND_ROWS) },
        };
        self.sent.insert(q, asked);
        Some(request)
    }

    /// A page of members. Addresses are those that may be dialled from `place`.
    pub(super) fn members(
        &mut self,
        q: u32,
        members: Vec<Member>,
        (total, cursor): (u32, Vec<u8>),
        place: &Place,
    ) {
        let row = |member: Member| MemberRow {
            peer: member.peer,
            nick: show(&member.nick),
            addrs: place.filter(&member.addrs),
            shares: member.shares,
            since: member.since,
        };
        let rows = members.into_iter().map(row).collect();
        self.answered(q, |cursor| Reply::Members(Page { rows, total, cursor }), cursor);
    }

    /// A page of what a member shares.
    pub(super) fn files(&mut self, q: u32, rows: &[FileRow], (total, cursor): (u32, Vec<u8>)) {
        let rows = rows.iter().map(mirror::shown).collect();
        self.answered(q, |cursor| Reply::MemberFiles(Page { rows, total, cursor }), cursor);
    }

    /// Folders in which files were found. Paths are cleaned as names are.
    pub(super) fn found(&mut self, q: u32, rows: Vec<FoundRow>, more: bool) {
        let row = |found: FoundRow| FoundInside {
            paths: found.paths.iter().map(|path| show(path)).collect(),
            files: found.files,
            row: mirror::shown(&found.row),
        };
        let rows = rows.into_iter().map(row).collect();
        self.answered(q, |_| Reply::Found(Found { rows, more }), Vec::new());
    }

    fn answered(&mut self, q: u32, reply: impl FnOnce(Vec<u8>) -> Reply, mut cursor: Vec<u8>) {
        let Some(asked) = self.sent.remove(&q) else { return };
        // A cursor that does not move would lead round in circles.
        if cursor.len() > MAX_MEMBER_CURSOR || cursor == asked.ask.cursor() {
            cursor = Vec::new();
        }
        asked.answer(Ok(reply(cursor)));
    }

    /// Nothing that was asked will be answered any more, which whoever asked is told.
    pub(super) fn unanswered(&mut self) {
        self.sent.clear();
    }

    /// The tracker refused; nothing else waits for what it has no time for.
    pub(super) fn refused(&mut self, q: u32, code: Code, text: &str, retry_ms: u32, now: Instant) {
        let Some(mut asked) = self.sent.remove(&q) else { return };
        if matches!(code, Code::Rate | Code::Busy) && asked.tries < MAX_TRIES {
            asked.tries += 1;
            let pause = Duration::from_millis(u64::from(retry_ms)).clamp(PAUSES.0, PAUSES.1);
            let until = now + pause;
            self.paused_until = Some(self.paused_until.map_or(until, |other| other.max(until)));
            return self.waiting.push_front(asked);
        }
        let kind = match code {
            Code::NotMember => CommandErrorKind::NotFound,
            _ => CommandErrorKind::Invalid,
        };
        asked.refuse(kind, show(text));
    }

    /// When the next question may go out that nothing else wakes us for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.paused_until.filter(|_| !self.waiting.is_empty())
    }
}

fn wire(count: usize) -> u16 {
    saturate::<u16>(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Knows = Knows { lists_members: true, looks_inside: true };

    type Waiting = oneshot::Receiver<Result<Reply, CommandError>>;

    fn members() -> Ask {
        Ask::Members { query: String::new(), cursor: vec![7] }
    }

    fn ask(asks: &mut Asks) -> Waiting {
        let (tx, rx) = oneshot::channel();
        asks.push(members(), tx);
        rx
    }

    fn why(waiting: &mut Waiting) -> String {
        waiting.try_recv().expect("an answer").unwrap_err().message
    }

    fn place() -> Place {
        Place {
            tracker: "203.0.113.9:7420".parse().unwrap(),
            observed: "198.51.100.4:1".parse().unwrap(),
            also: None,
        }
    }

    #[test]
    fn c4_an_older_tracker_is_not_asked_and_that_is_said() {
        let mut asks = Asks::default();
        let mut early = ask(&mut asks);
        asks.welcomed(Knows { lists_members: false, looks_inside: false });
        assert_eq!(why(&mut early), OLDER);
        let mut late = ask(&mut asks);
        assert_eq!(why(&mut late), OLDER);
        assert_eq!(asks.next(Instant::now(), |_| 1), None);
        // The one it is exchanged for may be newer.
        asks.lost();
        let mut again = ask(&mut asks);
        asks.welcomed(ALL);
        assert!(again.try_recv().is_err(), "it waits");
        assert!(asks.next(Instant::now(), |_| 1).is_some());
    }

    #[test]
    fn a5_a_tracker_that_lists_members_may_still_not_look_inside() {
        let mut asks = Asks::default();
        let find = |asks: &mut Asks| {
            let (tx, rx) = oneshot::channel();
            asks.push(Ask::Find { query: "x".repeat(2 * MAX_QUERY) }, tx);
            rx
        };
        let (mut early, mut other) = (find(&mut asks), ask(&mut asks));
        asks.welcomed(Knows { lists_members: true, looks_inside: false });
        assert_eq!(why(&mut early), OLDER_INSIDE);
        assert!(other.try_recv().is_err(), "it waits");
        assert_eq!(why(&mut find(&mut asks)), OLDER_INSIDE);
        asks.welcomed(ALL);
        let mut found = find(&mut asks);
        assert!(matches!(asks.next(Instant::now(), |_| 1), Some(Request::Members { .. })));
        let Some(Request::Find { query, .. }) = asks.next(Instant::now(), |_| 2) else {
            panic!("not asked");
        };
        assert_eq!(query.len(), MAX_QUERY);
        asks.found(2, Vec::new(), true);
        assert!(matches!(found.try_recv(), Ok(Ok(Reply::Found(Found { more: true, .. })))));
    }

    #[test]
    fn c4_every_question_gets_exactly_one_answer() {
        let mut asks = Asks::default();
        asks.welcomed(ALL);
        let now = Instant::now();
        let mut all: Vec<Waiting> = (0..=MAX_ASKS).map(|_| ask(&mut asks)).collect();
        assert!(why(&mut all[MAX_ASKS]).contains("too many"));
        let mut q = 0;
        while asks.next(now, |_| q).is_some() {
            q += 1;
        }
        assert_eq!(q as usize, MAX_ASKS);
        asks.members(0, vec![], (3, vec![8]), &place());
        let Ok(Ok(Reply::Members(page))) = all[0].try_recv() else { panic!("no page") };
        assert_eq!((page.total, page.cursor), (3, vec![8]));
        asks.members(1, vec![], (3, vec![7]), &place());
        let Ok(Ok(Reply::Members(page))) = all[1].try_recv() else { panic!("no page") };
        assert!(page.cursor.is_empty(), "a cursor that stands still is the end");
        asks.refused(2, Code::NotMember, "no\u{1b}body", 0, now);
        assert_eq!(why(&mut all[2]), "no\\u{1b}body");
        asks.refused(77, Code::NotMember, "of nobody", 0, now);
        // Too busy: later, and nothing for ever.
        let (mut later, mut tries) = (now, 0);
        asks.refused(3, Code::Rate, "slow down", 500, later);
        while let Some(at) = asks.deadline() {
            assert_eq!(asks.next(later, |_| 3), None);
            later = at;
            assert!(asks.next(later, |_| 3).is_some());
            tries += 1;
            asks.refused(3, Code::Rate, "slow down", 500, later);
        }
        assert_eq!((tries, why(&mut all[3])), (MAX_TRIES, "slow down".to_owned()));
        asks.lost();
        assert!(all[4..MAX_ASKS].iter_mut().all(|one| why(one).contains("ended")));
        // Who has gone is not asked for.
        asks.welcomed(ALL);
        drop(ask(&mut asks));
        assert_eq!(asks.next(now, |_| 1), None);
    }

    #[test]
    fn c4_what_a_tracker_says_of_members_is_made_safe() {
        let mut asks = Asks::default();
        asks.welcomed(ALL);
        let mut waiting = ask(&mut asks);
        asks.next(Instant::now(), |_| 1);
        let member = Member {
            peer: PeerId::from_bytes([2; 32]),
            nick: "a\u{202e}b\u{1b}[2J".into(),
            addrs: vec!["203.0.113.7:1".parse().unwrap(), "169.254.169.254:80".parse().unwrap()],
            shares: u32::MAX,
            since: u64::MAX,
        };
        asks.members(1, vec![member], (u32::MAX, vec![0; MAX_MEMBER_CURSOR + 1]), &place());
        let Ok(Ok(Reply::Members(page))) = waiting.try_recv() else { panic!("no page") };
        assert_eq!(page.rows[0].nick, "a\\u{202e}b\\u{1b}[2J");
        assert_eq!(page.rows[0].addrs, ["203.0.113.7:1".parse().unwrap()]);
        assert!(page.cursor.is_empty(), "a cursor that no tracker of ours makes");
    }
}
