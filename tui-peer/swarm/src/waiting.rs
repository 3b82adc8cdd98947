//! What waits at a source for its turn, and what it pays for it.

use common::id::ContentId;

use super::event::ConnId;
use super::line::Line;
use super::node::Node;

impl Node {
    /// The line at a source, a content's turn there, and what so many bytes of it cost.
    fn turn(
        &mut self,
        at: ConnId,
        id: &ContentId,
        bytes: u64,
    ) -> Option<(&mut Line, &mut u64, u64)> {
        let (content, conn) = (self.contents.get_mut(id)?, self.conns.get_mut(&at)?);
        let cost = content.turn_of(bytes);
        Some((&mut conn.line, &mut content.links.get_mut(&at)?.turn, cost))
    }

    /// A content waits for its turn at a source.
    pub(super) fn line_up(&mut self, at: ConnId, id: ContentId) {
        if let Some((line, turn, _)) = self.turn(at, &id, 0) {
            *turn = line.join(id, *turn);
        }
    }

    /// It does not wait any more.
    pub(super) fn leave_line(&mut self, at: ConnId, id: ContentId) {
        if let Some((line, turn, _)) = self.turn(at, &id, 0) {
            line.leave(id, *turn);
        }
    }

    /// So many bytes of a content are asked of a source.
    pub(super) fn count_turn(&mut self, at: ConnId, id: ContentId, bytes: u64) {
        if let Some((line, turn, cost)) = self.turn(at, &id, bytes) {
            *turn = line.asked(id, *turn, cost);
        }
    }

    /// So many bytes that were asked for will not come from there.
    pub(super) fn refund_turn(&mut self, at: ConnId, id: ContentId, bytes: u64) {
        if let Some((line, turn, cost)) = self.turn(at, &id, bytes) {
            let waits = line.leave(id, *turn);
            *turn = turn.saturating_sub(cost);
            if waits {
                *turn = line.join(id, *turn);
            }
        }
    }

    /// A source may be asked for more, of whatever waits there.
    pub(super) fn has_room(&mut self, at: ConnId) {
        if let Some(conn) = self.conns.get_mut(&at)
            && !std::mem::replace(&mut conn.roomy, true)
        {
            self.roomy.push(at);
        }
    }
}
