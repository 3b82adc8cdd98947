//! Which pane is where. Pure; used for drawing, for scrolling and for the mouse.

use ratatui::layout::{Constraint, Layout, Rect};

use super::model::Pane;

/// Names of the layouts, by what fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Three lines.
    Card,
    /// One pane.
    Small,
    /// Files above, chunks and sources beside each other, log below.
    Medium,
    /// The four panes below each other.
    Stacked,
    /// Two columns, log below.
    Large,
    /// As large, with the transfers.
    Huge,
    /// Three columns, log below.
    Wide,
}

/// Where everything is. A pane that is not shown has an empty rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Areas {
    /// Which layout.
    pub class: Class,
    /// All of it.
    pub whole: Rect,
    /// First line.
    pub header: Rect,
    /// What is wrong, if something is.
    pub banner: Rect,
    /// Names of the panes (small layout).
    pub strip: Rect,
    /// Numbers of the selected file (details).
    pub info: Rect,
    /// Files.
    pub files: Rect,
    /// Transfers (largest layout).
    pub transfers: Rect,
    /// Chunks.
    pub chunks: Rect,
    /// Sources.
    pub sources: Rect,
    /// Rates over time, below the sources where there is room.
    pub graph: Rect,
    /// Log.
    pub log: Rect,
    /// Selected file in short (small layout).
    pub summary: Rect,
    /// Last line.
    pub footer: Rect,
}

/// What decides besides the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs {
    /// Focused pane.
    pub focus: Pane,
    /// Whether it takes all the room.
    pub zoom: bool,
    /// Whether the details of the selected file are open.
    pub details: bool,
    /// Whether who has what takes the room of map and sources.
    pub swarm: bool,
    /// Percentage added to the files pane.
    pub split: i16,
    /// Whether something is wrong that gets a line of its own.
    pub banner: bool,
}

/// Rows of the summary in the small layout.
const SUMMARY: u16 = 4;
/// Rows of the numbers in the details.
const INFO: u16 = 6;
/// Most rows the log takes in the large layouts.
const MAX_LOG: u16 = 15;
/// Rows of the transfers pane.
const TRANSFERS: u16 = 10;

/// Columns and rows of the rates over time at least, with their box: 60 and 8 inside.
const MIN_GRAPH: (u16, u16) = (62, 10);
/// Rows they take at most: more says no more.
const MAX_GRAPH: u16 = 14;
/// Rows of the sources above them at least: six peers.
const MIN_SOURCES: u16 = 8;
/// Rows from which the details have both.
const DETAILS_WITH_GRAPH: u16 = 34;

/// Which layout a terminal of this size gets.
pub fn class(width: u16, height: u16) -> Class {
    if width < 40 || height < 10 {
        Class::Card
    } else if width >= 160 && (24..30).contains(&height) {
        Class::Wide
    } else if width >= 180 && height >= 50 {
        Class::Huge
    } else if width >= 120 && height >= 34 {
        Class::Large
    } else if width < 80 || height < 24 {
        Class::Small
    } else if height >= 50 {
        Class::Stacked
    } else {
        Class::Medium
    }
}

impl Areas {
    /// Divides the screen.
    pub fn new(width: u16, height: u16, request: Inputs) -> Self {
        let whole = Rect::new(0, 0, width, height);
        let none = Rect::ZERO;
        let class = class(width, height);
        let mut areas = Self {
            class,
            whole,
            header: none,
            banner: none,
            strip: none,
            info: none,
            files: none,
            transfers: none,
            chunks: none,
            sources: none,
            graph: none,
            log: none,
            summary: none,
            footer: none,
        };
        if class == Class::Card {
            return areas;
        }
        let [header, banner, body, footer] = rows(
            whole,
            [
                Constraint::Length(1),
                Constraint::Length(u16::from(request.banner)),
                Constraint::Fill(1),
                Constraint::Length(1),
            ],
        );
        areas.header = header;
        areas.banner = banner;
        areas.footer = footer;
        if request.details {
            areas.detailed(body, request.swarm);
        } else if class == Class::Small {
            areas.small(body, request);
        } else if request.zoom {
            areas.put(request.focus, body);
        } else {
            areas.panes(body, request);
        }
        if !request.swarm {
            areas.split_graph();
        }
        areas
    }

    /// The lower part of the sources is for rates over time, where both have room enough.
    fn split_graph(&mut self) {
        let area = self.sources;
        if area.width < MIN_GRAPH.0 || area.height < MIN_GRAPH.1 + MIN_SOURCES {
            return;
        }
        let height = MIN_GRAPH.1.max(area.height / 3).min(MAX_GRAPH);
        [self.sources, self.graph] = rows(area, [Constraint::Fill(1), Constraint::Length(height)]);
    }

    fn detailed(&mut self, body: Rect, swarm: bool) {
        let info = INFO.min(body.height / 4);
        if swarm {
            [self.info, self.sources] = rows(body, [Constraint::Length(info), Constraint::Fill(1)]);
            return;
        }
        // A little less map where that makes room for rates over time.
        let graph = body.width >= MIN_GRAPH.0 && body.height >= DETAILS_WITH_GRAPH;
        let chunks = if graph {
            let left = body.height.saturating_sub(info + MIN_GRAPH.1 + MIN_SOURCES);
            left.min(body.height * 38 / 100)
        } else {
            body.height.div_ceil(2)
        };
        let [info, chunks, sources] =
            rows(body, [Constraint::Length(info), Constraint::Length(chunks), Constraint::Fill(1)]);
        (self.info, self.chunks, self.sources) = (info, chunks, sources);
    }

    fn small(&mut self, body: Rect, request: Inputs) {
        let summary = if self.whole.height >= 16 && !request.zoom { SUMMARY } else { 0 };
        let [strip, pane, summary] =
            rows(body, [Constraint::Length(1), Constraint::Fill(1), Constraint::Length(summary)]);
        self.strip = strip;
        self.summary = summary;
        self.put(request.focus, pane);
    }

    fn panes(&mut self, body: Rect, request: Inputs) {
        let percent = |base: i16| u16::try_from((base + request.split).clamp(20, 80)).unwrap_or(50);
        match self.class {
            Class::Medium => {
                let files = body.height * percent(46) / 100;
                let rest = body.height - files;
                let middle = (rest * 60 / 100).max(3);
                let [files, middle, log] = rows(
                    body,
                    [Constraint::Length(files), Constraint::Length(middle), Constraint::Fill(1)],
                );
                let [chunks, sources] =
                    columns(middle, [Constraint::Percentage(46), Constraint::Fill(1)]);
                (self.files, self.chunks, self.sources, self.log) = (files, chunks, sources, log);
            }
            Class::Stacked => {
                let files = body.height * percent(45) / 100;
                let rest = body.height - files;
                let [files, chunks, sources, log] = rows(
                    body,
                    [
                        Constraint::Length(files),
                        Constraint::Length(rest * 36 / 100),
                        Constraint::Length(rest * 36 / 100),
                        Constraint::Fill(1),
                    ],
                );
                (self.files, self.chunks, self.sources, self.log) = (files, chunks, sources, log);
            }
            Class::Wide => {
                let [top, log] = rows(body, [Constraint::Fill(1), Constraint::Length(5)]);
                let [files, chunks, sources] = columns(
                    top,
                    [Constraint::Percentage(percent(42)), Constraint::Fill(1), Constraint::Fill(1)],
                );
                (self.files, self.chunks, self.sources, self.log) = (files, chunks, sources, log);
            }
            _ => {
                let log = (body.height * 28 / 100).clamp(5, MAX_LOG);
                let [top, log] = rows(body, [Constraint::Fill(1), Constraint::Length(log)]);
                let [left, right] =
                    columns(top, [Constraint::Percentage(percent(57)), Constraint::Fill(1)]);
                let transfers = if self.class == Class::Huge { TRANSFERS } else { 0 };
                let [files, transfers] =
                    rows(left, [Constraint::Fill(1), Constraint::Length(transfers)]);
                let [chunks, sources] =
                    rows(right, [Constraint::Percentage(55), Constraint::Fill(1)]);
                (self.files, self.transfers, self.log) = (files, transfers, log);
                (self.chunks, self.sources) = (chunks, sources);
            }
        }
    }

    fn put(&mut self, pane: Pane, area: Rect) {
        *self.of_mut(pane) = area;
    }

    /// Where a pane is.
    pub fn of(&self, pane: Pane) -> Rect {
        match pane {
            Pane::Files => self.files,
            Pane::Chunks => self.chunks,
            Pane::Sources => self.sources,
            Pane::Log => self.log,
            Pane::Transfers => self.transfers,
        }
    }

    fn of_mut(&mut self, pane: Pane) -> &mut Rect {
        match pane {
            Pane::Files => &mut self.files,
            Pane::Chunks => &mut self.chunks,
            Pane::Sources => &mut self.sources,
            Pane::Log => &mut self.log,
            Pane::Transfers => &mut self.transfers,
        }
    }
}

/// The inside of a box.
pub fn inside(area: Rect) -> Rect {
    Rect {
        x: area.x.saturating_add(1),
        y: area.y.saturating_add(1),
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(2),
    }
}

/// Rows of the tallest dialogs, on a terminal of so many.
pub(crate) fn tallest(rows: u16) -> u16 {
    rows.saturating_sub(2).min(30)
}

/// A rectangle of at most this size in the middle of another.
pub fn centred(within: Rect, width: u16, height: u16) -> Rect {
    let width = width.min(within.width);
    let height = height.min(within.height);
    Rect {
        x: within.x + (within.width - width) / 2,
        y: within.y + (within.height - height) / 2,
        width,
        height,
    }
}

/// Cuts into rows.
pub fn rows<const N: usize>(area: Rect, parts: [Constraint; N]) -> [Rect; N] {
    Layout::vertical(parts).areas(area)
}

/// Cuts into columns.
pub fn columns<const N: usize>(area: Rect, parts: [Constraint; N]) -> [Rect; N] {
    Layout::horizontal(parts).areas(area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_are_inside_and_apart_at_every_size() {
        for width in (1..=260).step_by(7).chain([40, 79, 80, 119, 120, 160, 180]) {
            for height in (1..=40).chain((41..=90).step_by(7)).chain([200]) {
                for focus in Pane::ALL {
                    for (zoom, split, details) in [
                        (false, 0, false),
                        (true, 0, false),
                        (false, -40, false),
                        (false, 40, true),
                        (true, 0, true),
                    ] {
                        let request =
                            Inputs { focus, zoom, split, details, swarm: zoom, banner: zoom };
                        let areas = Areas::new(width, height, request);
                        let all = [
                            areas.header,
                            areas.banner,
                            areas.strip,
                            areas.info,
                            areas.files,
                            areas.transfers,
                            areas.chunks,
                            areas.sources,
                            areas.graph,
                            areas.log,
                            areas.summary,
                            areas.footer,
                        ];
                        for (i, a) in all.iter().enumerate() {
                            assert!(
                                areas.whole.intersection(*a) == *a || a.is_empty(),
                                "{width}x{height} {a}"
                            );
                            for b in all.iter().skip(i + 1) {
                                assert!(a.intersection(*b).is_empty(), "{width}x{height}: {a} {b}");
                            }
                        }
                        assert!(
                            areas.class == Class::Card
                                || details
                                || focus == Pane::Transfers
                                || !areas.of(focus).is_empty()
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn sizes_get_their_layouts() {
        for (w, h, expected) in [
            (39, 50, Class::Card),
            (60, 20, Class::Small),
            (80, 24, Class::Medium),
            (100, 60, Class::Stacked),
            (120, 40, Class::Large),
            (200, 60, Class::Huge),
            (200, 28, Class::Wide),
        ] {
            assert_eq!(class(w, h), expected, "{w}x{h}");
        }
    }
}
