//! Folders that fit the filter of the network's files by the files inside them, as the tracker says.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::id::ContentId;
use common::numbers::saturate;
use engine::api::snapshot::{CatalogueRow, Found, FoundInside};
use frontend::inside::Question;

/// How long the typing rests before the tracker is asked: it has others to serve, and a word is typed letter by letter.
const REST: Duration = Duration::from_millis(300);
/// How long an answer is waited for before something else may be asked.
const PATIENCE: Duration = Duration::from_secs(15);
/// After an answer that failed it is asked again so much later, twice as late after each further one ...
const AGAIN: Duration = Duration::from_secs(5);
/// ... for so many times, five minutes in all: as long as a tracker may be away, or busy.
const TRIES: u32 = 6;

/// What was asked of the tracker, and what it said.
#[derive(Debug, Default)]
pub struct Inside {
    /// What is looked for, and since when.
    wanted: Option<(Question, Instant)>,
    /// Number of the last question.
    number: u64,
    /// The one that waits for its answer, and since when.
    asked: Option<(Question, Instant)>,
    /// What the last answer was about.
    known: Option<Question>,
    /// Answers that failed, one after the other, and when it may be asked again.
    failed: (u32, Option<Instant>),
    /// The last answer.
    answer: Found,
    /// What of it fits the filter.
    pub(crate) found: Arc<HashMap<ContentId, FoundInside>>,
    /// So many rows at the end of the list stand there for what is inside.
    pub(crate) shown: usize,
}

impl Inside {
    /// This is looked for from now on, or nothing.
    pub(crate) fn want(&mut self, question: Option<Question>, now: Instant) {
        match question {
            Some(question) if self.wanted.as_ref().is_none_or(|(old, _)| *old != question) => {
                self.wanted = Some((question, now));
            }
            Some(_) => {}
            None => {
                self.wanted = None;
                (self.known, self.answer) = (None, Found::default());
            }
        }
    }

    /// What to ask now, with the number that comes back with the answer.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(u64, String)> {
        if self.deadline().is_none_or(|at| now < at) {
            return None;
        }
        let (question, _) = self.wanted.clone()?;
        let query = question.query.clone();
        self.number += 1;
        self.asked = Some((question, now));
        Some((self.number, query))
    }

    /// When something is to be asked; `None` if nothing is.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (wanted, since) = self.wanted.as_ref()?;
        let (rested, asked) = (*since + REST, self.asked.as_ref());
        match asked {
            Some((asked, at)) if asked != wanted => Some(rested.max(*at + PATIENCE)),
            Some(_) => None,
            None => {
                let again = self.failed.1.map_or(rested, |at| rested.max(at));
                (self.known.as_ref() != Some(wanted)).then_some(again)
            }
        }
    }

    /// The answer to the question with this number, or none if it failed; whether it is of use.
    pub(crate) fn told(&mut self, number: u64, answer: Option<Found>, now: Instant) -> bool {
        let Some((question, _)) = self.asked.take_if(|_| number == self.number) else {
            return false;
        };
        if answer.is_none() && self.failed.0 < TRIES {
            let (failed, _) = self.failed;
            self.failed = (failed + 1, Some(now + AGAIN * 2u32.pow(failed)));
            return false;
        }
        self.failed = (0, None);
        self.known = Some(question);
        self.answer = answer.unwrap_or_default();
        true
    }

    /// Looks anew at what of the last answer fits: `fits` is that of [`Question::keep`].
    pub(crate) fn sift(&mut self, fits: impl FnMut(&CatalogueRow, &str, &str) -> bool) {
        let mut found = match &self.wanted {
            Some((question, _)) => question.keep(self.answer.clone(), fits),
            None => Vec::new(),
        };
        if self.wanted.as_ref().map(|(question, _)| question) != self.known.as_ref() {
            // Part of what fits a longer word is known already, but not how many files do.
            for one in &mut found {
                one.files = saturate::<u32>(one.paths.len());
            }
        }
        if !(found.is_empty() && self.found.is_empty()) {
            self.found = Arc::new(found.into_iter().map(|one| (one.row.id, one)).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filter;

    fn question(text: &str) -> Option<Question> {
        Question::of(&Filter::parse(text))
    }

    #[test]
    fn a5_the_tracker_is_asked_when_the_typing_rests_one_question_at_a_time() {
        let (mut inside, start) = (Inside::default(), Instant::now());
        inside.want(question("sun"), start);
        assert_eq!(inside.next(start), None);
        let typed = start + REST / 2;
        inside.want(question("suns"), typed);
        assert_eq!((inside.next(start + REST), inside.deadline()), (None, Some(typed + REST)));
        let asked = typed + REST;
        assert_eq!(inside.next(asked), Some((1, "suns".to_owned())));
        assert_eq!((inside.next(asked), inside.deadline()), (None, None), "it is on its way");
        // Another one waits for it.
        inside.want(question("sunset"), asked);
        assert_eq!(inside.next(asked + REST), None);
        assert!(!inside.told(7, Some(Found::default()), asked), "not of that number");
        assert!(inside.told(1, Some(Found::default()), asked));
        assert_eq!(inside.next(asked + REST), Some((2, "sunset".to_owned())));
        // But not for ever, and what comes too late says nothing.
        inside.want(question("sunrise"), asked + REST);
        let late = asked + REST + PATIENCE;
        assert_eq!(inside.deadline(), Some(late));
        assert_eq!(inside.next(late), Some((3, "sunrise".to_owned())));
        assert!(!inside.told(2, Some(Found::default()), late));
        assert!(inside.told(3, Some(Found::default()), late));
        assert_eq!((inside.next(late + PATIENCE), inside.deadline()), (None, None), "known");
        inside.want(None, late);
        inside.want(question("sunrise"), late);
        assert_eq!(inside.deadline(), Some(late + REST), "a filter typed anew is asked anew");
    }

    #[test]
    fn a5_an_answer_that_failed_is_asked_for_again_and_not_for_ever() {
        let (mut inside, start) = (Inside::default(), Instant::now());
        inside.want(question("sunset"), start);
        let (mut at, mut asked) = (start, 0);
        while let Some(due) = inside.deadline() {
            at = due;
            let (number, _) = inside.next(at).unwrap();
            asked += 1;
            inside.told(number, None, at);
        }
        assert_eq!(asked, TRIES + 1);
        assert!(at - start >= AGAIN * 63, "{:?}", at - start);
        // One that comes after a failure counts, and what fails later has its tries again.
        inside.want(question("sunrise"), at);
        let (number, _) = inside.next(at + REST).unwrap();
        inside.told(number, None, at + REST);
        assert_eq!(inside.deadline(), Some(at + REST + AGAIN));
        let (number, _) = inside.next(at + REST + AGAIN).unwrap();
        assert!(inside.told(number, Some(Found::default()), at + REST + AGAIN));
        assert_eq!(inside.deadline(), None);
    }
}
