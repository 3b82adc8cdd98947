//! Who is at a tracker that only stands by looks for those before it, and goes back.

use std::time::Instant;

use super::client::Client;
use super::connect::look;
use super::talk::Talk;

impl Client {
    /// Says when a tracker before the present one is looked for next, if there is one. Not all who are here at once.
    pub(super) fn plan_look(&mut self, talk: &mut Talk) {
        talk.back_at = (!self.order.before().is_empty())
            .then(|| Instant::now() + self.order.look_after(self.backoff.spread(), &mut self.rng));
    }

    /// Begins to look, if it is time.
    pub(super) fn look_back(&mut self, talk: &mut Talk, now: Instant) {
        if talk.looking.is_none() && talk.back_at.is_some_and(|at| now >= at) {
            let by = (self.config.clone(), self.shared.clone());
            let limit = self.patience.trackers.away;
            let present = self.link.as_ref().map(|link| link.place.tracker);
            let look = look(by, self.order.before(), (self.named_at.clone(), present), limit);
            talk.looking = Some(Box::pin(look));
            self.plan_look(talk);
        }
    }
}
