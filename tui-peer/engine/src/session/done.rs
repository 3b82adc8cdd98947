//! What comes back to the session from work beside it.

use super::Session;

/// What follows in the session when work beside it has ended: whoever begins the work says both in one place, and what
/// was found out is in it. No list of everything that may come back is needed, by which all would know each other.
pub(super) struct Done {
    then: Box<dyn FnOnce(&mut Session) + Send>,
    /// Whether the next snapshot may show something else.
    shows: bool,
}

impl Done {
    pub(super) fn new(then: impl FnOnce(&mut Session) + Send + 'static) -> Self {
        Self { then: Box::new(then), shows: true }
    }

    /// The same for a look that is made again and again: nobody needs a new picture each time somebody looked at the
    /// disk. What follows says whether there is something new.
    pub(super) fn looked(then: impl FnOnce(&mut Session) + Send + 'static) -> Self {
        Self { then: Box::new(then), shows: false }
    }
}

impl Session {
    pub(super) fn on_done(&mut self, done: Done) {
        if done.shows {
            self.changed();
        }
        (done.then)(self);
    }
}
