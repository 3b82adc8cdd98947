//! The graph of rates: its scale follows what it shows, where there is a graph.

use crate::layout::inside;
use crate::model::{Model, Tone};

/// After every message.
pub(crate) fn settle(model: &mut Model) {
    let area = inside(model.areas().graph);
    if area.is_empty() {
        return;
    }
    let peaks = model.graph.peaks(model.now.mono);
    // One row is the axis.
    let rows = area.height.saturating_sub(1);
    model.graph.scale = model.graph.scale.fitted(peaks, rows, model.units);
}

/// The next longer window.
pub(crate) fn turn_window(model: &mut Model) {
    model.graph.window = model.graph.window.next();
    if model.areas().graph.is_empty() {
        let text = format!(
            "the graph shows the last {} min where there is room for it",
            model.graph.window.minutes()
        );
        model.toast(Tone::Plain, text);
    }
}
