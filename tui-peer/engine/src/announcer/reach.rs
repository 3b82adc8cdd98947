//! Where we are, for the tracker, and who is to be reached in another way than by a dial, by its word.

use std::time::{Duration, Instant};

use common::names::show;
use common::wire::tracker::{Reply, Request};

use super::backoff::LONGEST_SPREAD;
use super::client::Client;
use super::connect::Ended;
use super::own::is_ours;
use super::talk::Talk;
use super::{Looked, TrackerEvent, also};
use crate::conn::Meeting;

/// A tracker that could not be reached over the other family is not tried there for so long: what it names is only its
/// word.
const SHOW_AGAIN: Duration = Duration::from_secs(300);

/// Longest wait before a call that others make too, whatever the tracker says.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

impl Client {
    /// Shows the tracker where we are in the other family, if it can be reached there. Not all who come back at once.
    pub(super) fn show_also(&mut self, talk: &mut Talk) {
        let Some(link) = &self.link else { return };
        let failed = self.not_shown.is_some_and(|at| at.elapsed() < SHOW_AGAIN);
        if link.other_family.is_empty() || failed {
            return;
        }
        let spread =
            link.welcome.spread_ms.map_or(Duration::ZERO, |ms| Duration::from_millis(ms.into()));
        let pause = spread.min(LONGEST_SPREAD).mul_f64(self.rng.f64());
        let show = also::show(self.config.clone(), link.other_family.clone(), pause);
        talk.showing = Some(Box::pin(show));
    }

    /// A connection that does not come from the port we listen on is made anew once: what held the port may be over then.
    /// Not all do so at the same time.
    pub(super) fn plan_another(&mut self, talk: &mut Talk) {
        let punches = self.link.as_ref().is_none_or(|link| link.punches);
        if punches || !self.config.shared_port {
            self.made_anew = false;
        } else if !std::mem::replace(&mut self.made_anew, true) {
            let wait = self.patience.again.mul_f64(1.0 + self.rng.f64());
            talk.again_at = Some(Instant::now() + wait);
        }
    }

    /// Tells the tracker when our own addresses are others.
    pub(super) async fn look_around(&mut self, talk: &mut Talk, now: Instant) -> Result<(), Ended> {
        talk.look_at = now + self.patience.look;
        let Some(link) = &mut self.link else { return Ok(()) };
        if !is_ours(link.own) {
            return Err(Ended::Moved);
        }
        let Some(news) = self.config.local.news(&link.local) else { return Ok(()) };
        link.local = news.clone();
        if link.welcome.other_family.is_some() {
            self.write(&Request::Addresses { local: news }).await?;
            self.not_shown = None;
            self.show_also(talk);
        }
        Ok(())
    }

    /// Who is to be reached in another way, and whether we can be reached, by a word that was so long under way.
    pub(super) async fn take_reach(
        &mut self,
        reply: Reply,
        under_way: Duration,
    ) -> Result<(), Ended> {
        let place = self.link()?.place;
        match reply {
            Reply::Reach { reachable, port } => {
                self.tell(TrackerEvent::Reach(Looked { reachable, port })).await;
            }
            Reply::Dial { id, who } => {
                for who in self.sources.read(id, vec![who], None, &place) {
                    self.tell(TrackerEvent::DialAsked { id, who }).await;
                }
            }
            Reply::Punch { id, who, wait_ms } => {
                let wait = Duration::from_millis(wait_ms.into()).min(LONGEST_WAIT);
                let at = Instant::now() + wait.saturating_sub(under_way);
                for who in self.sources.read(id, vec![who], None, &place) {
                    self.tell(TrackerEvent::PunchAsked { id, who, at }).await;
                }
            }
            Reply::Relay { id, peer: (peer, nick), token, dials } => {
                let meeting = Meeting { peer, tracker: place.tracker, token, dials };
                self.tell(TrackerEvent::Meet { id, nick: show(&nick), meeting }).await;
            }
            _ => {}
        }
        Ok(())
    }
}
