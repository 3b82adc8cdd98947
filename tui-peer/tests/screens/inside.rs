//! A5: folders are found by the files inside while a filter is typed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::content::Kind;
use engine::api::snapshot::{Catalogue, CatalogueRow, Found, FoundInside, Snapshot};
use screen::msg::{Effect, Msg};
use screen::theme::{Depth, Glyphs, Ground, Theme};

use super::stage::Stage;
use super::testkit;

/// How long the typing has to rest.
const REST: Duration = Duration::from_millis(300);

fn folders(snap: &Snapshot) -> Vec<CatalogueRow> {
    let rows = snap.catalogue.rows.iter();
    rows.filter(|row| row.kind == Kind::Folder).cloned().collect()
}

/// What the screen asks the tracker for; other effects are dropped.
fn asked(stage: &mut Stage) -> Vec<(u64, String)> {
    let asked = stage.effects.drain(..).filter_map(|effect| match effect {
        Effect::Find { number, query } => Some((number, query)),
        _ => None,
    });
    asked.collect()
}

fn found(row: &CatalogueRow, paths: &[&str], files: u32) -> FoundInside {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    FoundInside { row: row.clone(), paths, files }
}

/// Types a filter and answers what is asked then.
fn find(stage: &mut Stage, keys: &str, rows: Vec<FoundInside>) {
    stage.keys(keys);
    stage.pass(REST);
    let all = asked(stage);
    let [(number, _)] = &all[..] else { panic!("{all:?}") };
    stage.send(Msg::Found(*number, Some(Found { rows, more: false })));
}

#[test]
fn a5_a_folder_with_a_file_that_fits_is_shown_with_it_once_the_typing_rests() {
    for (name, width, height, glyphs) in [
        ("80x24", 80, 24, Glyphs::Unicode),
        ("120x40", 120, 40, Glyphs::Unicode),
        ("60x20_ascii", 60, 20, Glyphs::Ascii),
    ] {
        let snap = testkit::rich(Instant::now());
        let all = folders(&snap);
        let theme = Theme::new(Depth::Full, glyphs, Ground::Dark);
        let mut stage = Stage::new(snap, width, height, theme);
        stage.keys("/");
        for letter in "lec".chars() {
            stage.keys(&letter.to_string());
            stage.pass(REST / 3);
        }
        assert_eq!(asked(&mut stage), [], "while it is typed");
        let rows = vec![
            found(&all[0], &["2024/lecture 07/sl\u{ef}des.pdf"], 1),
            found(&all[1], &["lecture-01.mkv", "lecture-02.mkv", "lecture-03.mkv"], 214),
        ];
        find(&mut stage, "ture", rows);
        insta::assert_snapshot!(format!("inside_{name}"), stage.screen());
        // More of the word: what does not fit goes at once, and the tracker is asked anew.
        stage.keys("-02");
        let screen = stage.screen();
        assert!(screen.contains("lecture-02") && !screen.contains("lecture 07"), "{screen}");
        stage.pass(REST);
        assert_eq!(asked(&mut stage).len(), 1);
        // Without a filter all is as ever.
        stage.keys("<Esc>");
        stage.pass(REST);
        assert_eq!(asked(&mut stage), []);
        assert!(!stage.screen().contains("lecture-02"), "{}", stage.screen());
    }
}

#[test]
fn a5_what_fits_by_its_name_stands_once_and_all_of_the_filter_counts() {
    let snap = testkit::rich(Instant::now());
    let all = folders(&snap);
    let name = all[0].name.to_string();
    let word = name.split(|c: char| !c.is_ascii_alphanumeric()).max_by_key(|w| w.len()).unwrap();
    let mut stage = Stage::of(snap, 100, 30);
    let before = {
        stage.keys(&format!("/{word}"));
        stage.screen()
    };
    let file = format!("{word}.txt");
    find(&mut stage, "", vec![found(&all[0], &[&file], 1)]);
    assert_eq!(stage.screen(), before, "it is there by its name");
    stage.keys("<Esc>");
    let rows = |paths: &[&str]| vec![found(&all[1], paths, 9)];
    find(&mut stage, "/inner !raw", rows(&["inner.RAW", "inner.jpg"]));
    let screen = stage.screen();
    assert!(screen.contains("inner.jpg") && !screen.contains("RAW"), "{screen}");
    // A folder that the network's list does not have is not shown.
    let gone = CatalogueRow { id: testkit::content(9999), ..all[1].clone() };
    stage.keys("<Esc>");
    find(&mut stage, "/elsewhere", vec![found(&gone, &["elsewhere"], 1)]);
    assert!(stage.screen().contains("No match for \"elsewhere\""), "{}", stage.screen());
}

#[test]
fn a5_nothing_is_asked_without_a_word_elsewhere_or_off_the_network() {
    let mut stage = Stage::rich(100, 30);
    for keys in ["/size:>1G", "/ab", "/!inner", "/~inner"] {
        stage.keys(keys);
        stage.pass(REST);
        assert_eq!(asked(&mut stage), [], "{keys}");
        stage.keys("<Esc>");
    }
    stage.keys("gd/inner");
    stage.pass(REST);
    assert_eq!(asked(&mut stage), [], "the own downloads are known");
    stage.keys("<Esc>gn/inner");
    let mut snap = (*stage.model.snap).clone();
    snap.network.state = engine::api::snapshot::NetState::Connecting;
    stage.send(Msg::Snapshot(Arc::new(snap)));
    stage.pass(REST);
    assert_eq!(asked(&mut stage), []);
    let snap = testkit::rich(stage.model.now.mono);
    stage.send(Msg::Snapshot(Arc::new(snap)));
    assert_eq!(asked(&mut stage).len(), 1, "as soon as somebody can be asked");
}

#[test]
fn a5_a_long_list_has_them_too_and_its_cursor_stays_on_its_file() {
    let mut snap = testkit::rich(Instant::now());
    let catalogue: Catalogue = testkit::catalogue(21_000);
    snap.catalogue = Arc::new(catalogue);
    let all = folders(&snap);
    let mut stage = Stage::of(snap, 100, 30);
    // As long as there is something to order; returns what was asked of the tracker meanwhile.
    let index = |stage: &mut Stage| {
        let mut questions = Vec::new();
        loop {
            let (mut jobs, mut more) = (Vec::new(), Vec::new());
            for effect in stage.effects.drain(..) {
                match effect {
                    Effect::Index(job) => jobs.push(job),
                    Effect::Find { number, .. } => more.push(number),
                    _ => {}
                }
            }
            questions.extend(more);
            let Some(job) = jobs.pop() else { return questions };
            let built = screen::model::build(&job);
            stage.send(Msg::Indexed(job.generation, job, built));
        }
    };
    index(&mut stage);
    stage.keys("/inner");
    index(&mut stage);
    stage.pass(REST);
    let questions = index(&mut stage);
    assert_eq!(questions.len(), 1);
    let rows = vec![found(&all[0], &["inner one"], 1), found(&all[1], &["inner two"], 1)];
    stage.send(Msg::Found(questions[0], Some(Found { rows, more: true })));
    index(&mut stage);
    let screen = stage.screen();
    assert!(screen.contains("inner one") && screen.contains("inner two"), "{screen}");
    // Our own first, as the list is ordered.
    stage.keys("<Enter>");
    assert_eq!(stage.model.selected(), Some(all[1].id));
    stage.keys("j");
    assert_eq!(stage.model.selected(), Some(all[0].id));
}
