//! Whatever happens in whatever order: no panic, the cursor is on a row, what is focused is visible.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use engine::api::snapshot::{NetState, Snapshot};
use proptest::prelude::*;
use screen::layout::Class;
use screen::model::Tab;
use screen::msg::Msg;

use super::stage::Stage;
use super::testkit;

#[derive(Debug, Clone)]
enum Step {
    Key(KeyCode, bool),
    Size(u16, u16),
    Data(u32, u8),
    Wait(u64),
    Paste(String),
    Click(u16, u16, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop_oneof![
        5 => prop::sample::select("jkhlgGdpxsuLJz?:qi/yYoO*' fwvrcPS12345[]<>+-AnNeTm".chars().collect::<Vec<_>>()).prop_map(KeyCode::Char),
        3 => prop::sample::select(vec![
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Up, KeyCode::Down, KeyCode::Left,
            KeyCode::Right, KeyCode::PageDown, KeyCode::PageUp, KeyCode::Home, KeyCode::End, KeyCode::Backspace, KeyCode::F(1), KeyCode::F(2),
        ]),
    ];
    prop_oneof![
        12 => (key, prop::bool::weighted(0.1)).prop_map(|(code, ctrl)| Step::Key(code, ctrl)),
        1 => (1u16..250, 1u16..90).prop_map(|(w, h)| Step::Size(w, h)),
        2 => (0u32..60, 0u8..8).prop_map(|(n, kind)| Step::Data(n, kind)),
        1 => (0u64..10_000).prop_map(Step::Wait),
        1 => "\\PC{0,12}".prop_map(Step::Paste),
        1 => (0u16..250, 0u16..90, any::<bool>()).prop_map(|(x, y, wheel)| Step::Click(x, y, wheel)),
    ]
}

fn data(now: Instant, n: u32, kind: u8) -> Snapshot {
    let mut snap = testkit::rich(now);
    snap.catalogue = Arc::new(testkit::catalogue(n));
    if n.is_multiple_of(2) {
        snap.transfers = testkit::transfers().into_iter().take(n as usize % 8).collect();
        snap.peers = testkit::peers(snap.at).into_iter().take(n as usize % 5).collect();
    }
    match kind {
        0 => snap.network.state = NetState::Left,
        1 => {
            snap.network.state = NetState::Lost { since: now, retry_at: now, why: "x".repeat(300) }
        }
        2 => snap.focus = None,
        3 => snap.network.state = NetState::NoNetwork,
        _ => {
            snap.focus =
                Some(Arc::new(testkit::focus(testkit::content(0), 1 << (kind * 2), 0.5, 1)));
        }
    }
    snap
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_the_screen(steps in prop::collection::vec(step(), 1..60), width in 1u16..220, height in 1u16..70) {
        let mut stage = Stage::of(testkit::rich(Instant::now()), width, height);
        for step in steps {
            match step {
                Step::Key(code, ctrl) => {
                    let modifiers = if ctrl { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
                    stage.send(Msg::Key(KeyEvent::new(code, modifiers)));
                }
                Step::Size(w, h) => stage.send(Msg::Resize(w, h)),
                Step::Data(n, kind) => {
                    let snap = data(stage.model.now.mono, n, kind);
                    stage.send(Msg::Snapshot(Arc::new(snap)));
                }
                Step::Wait(ms) => stage.pass(Duration::from_millis(ms)),
                Step::Paste(text) => stage.send(Msg::Paste(text)),
                Step::Click(column, row, wheel) => {
                    let kind = if wheel { MouseEventKind::ScrollDown } else { MouseEventKind::Down(MouseButton::Left) };
                    stage.send(Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
                }
            }
            let _ = stage.terminal();
            let model = &stage.model;
            for tab in Tab::ALL {
                let list = model.list_of(tab);
                prop_assert!(list.rows.is_empty() && list.cursor == 0 || list.cursor < list.rows.len());
                prop_assert!(list.rows.len() <= list.total);
            }
            prop_assert_eq!(model.list().key.clone(), model.row_key(model.at(), model.list().cursor));
            let areas = model.areas();
            prop_assert!(areas.class == Class::Card || !areas.of(model.focus).is_empty());
            prop_assert!(model.dialogs.len() <= 2);
        }
    }
}

/// Prints what the chunk map and the filter cost; run with `--release --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn map_and_filter_cost() {
    use engine::api::chunk_states::Chunks;
    use engine::api::snapshot::ChunkState;
    use screen::filter::Filter;
    use screen::heatmap::Map;
    use screen::model::build;
    fn time<T>(what: &str, work: impl FnOnce() -> T) -> T {
        let before = Instant::now();
        let out = work();
        println!("{what}: {:?}", before.elapsed());
        out
    }
    const N: usize = 1_000_000;
    let mut rng = fastrand::Rng::with_seed(1);
    let mut states = vec![ChunkState::Missing; N];
    states.iter_mut().take(N / 2).for_each(|s| *s = ChunkState::Have);
    let copies: Vec<u16> = (0..N).map(|_| rng.u16(0..9)).collect();
    time("before: two arrays per snapshot, 1M chunks", || {
        (
            std::sync::Arc::<[ChunkState]>::from(states.clone()),
            std::sync::Arc::<[u16]>::from(copies.clone()),
        )
    });
    let mut chunks = time("engine: all 1M chunks anew", || Chunks::of(&states, &copies));
    let mut map = time("screen: map of 1M chunks", || Map::build(&chunks, 5000, true));
    let mut worst = [Duration::ZERO; 2];
    for _ in 0..40 {
        let shown = chunks.clone();
        let before = Instant::now();
        for _ in 0..200 {
            let i = rng.usize(..N);
            chunks.set(i, ChunkState::Have, 3);
        }
        let handed_out = chunks.clone();
        worst[0] = worst[0].max(before.elapsed());
        let before = Instant::now();
        map.apply(&shown, &handed_out);
        worst[1] = worst[1].max(before.elapsed());
    }
    println!("200 chunk events of 1M, worst of 40: engine {:?}, screen {:?}", worst[0], worst[1]);
    let mut snap = testkit::rich(Instant::now());
    for n in [100_000, 1_000_000] {
        snap.catalogue = Arc::new(testkit::catalogue(n));
        let mut stage = Stage::of(snap.clone(), 80, 24);
        let mut job = stage.job();
        job.cache = time(&format!("order {n}"), || build(&job)).cache;
        for typed in
            ["s", "sa", "sample-9", "sample-99", "7 .dat", "size:>1G src:>5 9", "~smp77", ""]
        {
            job.filter = Filter::parse(typed);
            let built = time(&format!("filter {n} by {typed:?}"), || build(&job));
            job.cache = built.cache;
        }
        println!("index of {n}: {} bytes a file", job.cache.heap_bytes() / n as usize);
    }
}

/// Prints what a frame costs; run with `--release --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn frame_cost() {
    let mut snap = testkit::rich(Instant::now());
    snap.catalogue = Arc::new(testkit::catalogue(100_000));
    let mut stage = Stage::of(snap.clone(), 200, 60);
    let job = stage.job();
    let before = Instant::now();
    let built = screen::model::build(&job);
    println!("order 100k rows: {:?}", before.elapsed());
    stage.send(Msg::Indexed(job.generation, job.clone(), built.clone()));
    let mut filtered = job;
    filtered.filter = screen::filter::Filter::parse("sample 7");
    let before = Instant::now();
    let n = screen::model::build(&filtered).rows.len();
    println!("filter 100k rows: {:?}, {n} match", before.elapsed());
    let mut out = Vec::new();
    let buffer = screen::output::FrameBuffer::default();
    let mut terminal = screen::terminal::terminal(&buffer, 200, 60).unwrap();
    let mut costs = Vec::new();
    for i in 0..400u64 {
        snap.seq += 1;
        snap.at += Duration::from_millis(250);
        snap.totals.down_rate += 1e5;
        let focus = testkit::focus(testkit::content(0), 23_593, 0.3 + i as f64 / 1000.0, 3);
        snap.focus = Some(Arc::new(focus));
        stage.model.now.mono = snap.at;
        let next = Arc::new(snap.clone());
        let before = Instant::now();
        stage.send(Msg::Snapshot(next));
        stage.keys("j");
        terminal.draw(|frame| screen::view::view(&stage.model, frame)).unwrap();
        out.clear();
        out.extend(buffer.take());
        costs.push((before.elapsed(), out.len()));
    }
    costs.sort();
    let at = |p: usize| costs[costs.len() * p / 100];
    println!("update + draw + encode at 200x60, 100k rows: p50 {:?}, p99 {:?}", at(50), at(99));
}
