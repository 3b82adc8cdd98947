//! Where everything of the view of who has what is.

use ratatui::layout::Rect;

use crate::format;
use crate::layout::inside;
use crate::model::Model;

/// Columns a strip needs to be worth it.
const MIN_STRIP: u16 = 40;
/// Columns of what a peer has, in percent.
pub(crate) const HAS: u16 = 5;
/// Rows above the peers: the scale, and ourselves.
pub(crate) const ABOVE: u16 = 2;
/// Rows below them: copies, who must stay, and that in words.
pub(crate) const BELOW: u16 = 3;

/// Where everything of a row is.
pub(crate) struct Columns {
    pub(crate) name: u16,
    pub(crate) strip: u16,
    /// Columns for the rates from and to a peer: two, one or none.
    pub(crate) rates: u16,
}

impl Columns {
    pub(crate) fn new(width: u16) -> Self {
        let name = if width >= 110 { 20 } else { 14 };
        let rate = format::RATE_WIDTH + 1;
        let fixed = 1 + name + 1 + HAS + 1;
        let left = |rates: u16| width.saturating_sub(fixed + rates * rate);
        let rates = [2, 1, 0].into_iter().find(|rates| left(*rates) >= MIN_STRIP);
        match rates {
            Some(rates) => Self { name, strip: left(rates), rates },
            None => Self { name, strip: 0, rates: 0 },
        }
    }

    /// Where the strip begins, from the left edge.
    pub(crate) fn at(&self) -> u16 {
        1 + self.name + 1 + HAS + 1
    }
}

/// Our own row: where the map goes while this view is open, so that both have the same scale.
pub(crate) fn own_strip(model: &Model) -> Rect {
    let inner = inside(model.areas().sources);
    let columns = Columns::new(inner.width);
    if columns.strip == 0 || inner.height < ABOVE {
        return Rect::ZERO;
    }
    Rect { x: inner.x + columns.at(), y: inner.y + 1, width: columns.strip, height: 1 }
}

/// Rows there are for peers.
pub(crate) fn peer_rows(model: &Model) -> usize {
    let inner = inside(model.areas().sources);
    usize::from(inner.height.saturating_sub(ABOVE + BELOW))
}
