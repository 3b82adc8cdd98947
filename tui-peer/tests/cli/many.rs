//! A service with thousands of paths on its command line.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::program::{Place, Running, values};

/// Small files, each with bytes of its own, and the names of all.
fn files(place: &Place, count: usize) -> Vec<String> {
    let dir = place.path("d");
    fs::create_dir(&dir).unwrap();
    let write = |n: usize| {
        let name = format!("{n:04x}");
        fs::write(dir.join(&name), n.to_le_bytes()).unwrap();
        name
    };
    (0..count).map(write).collect()
}

fn serve(place: &Place, names: &[String]) -> Running {
    let mut command = place.command(&["--serve-only", "--host", "--json"]);
    command.args(names).current_dir(place.path("d"));
    Running::start(command)
}

#[test]
fn h3_every_one_of_thousands_of_paths_is_told_and_remembered() {
    const COUNT: usize = 6_000;
    let place = Place::new();
    let names = files(&place, COUNT);
    let began = Instant::now();
    let mut peer = serve(&place, &names);
    let told: HashSet<String> =
        (0..COUNT).map(|_| peer.expect("shared")["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told.len(), COUNT, "each once");
    // Was 4 minutes for 50,000, and grew with the square.
    assert!(began.elapsed() < Duration::from_secs(80), "{:?}", began.elapsed());
    assert_eq!(peer.stop(), 0);
    // Said to be shared, so it is there again without the command line.
    let mut again = serve(&place, &[]);
    let told: HashSet<String> =
        (0..COUNT).map(|_| again.expect("shared")["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told.len(), COUNT);
    assert_eq!(again.stop(), 0);
}

#[test]
fn h3_signals_are_heard_while_paths_are_handed_over() {
    const COUNT: usize = 6_000;
    let place = Place::new();
    let names = files(&place, COUNT);
    let mut peer = serve(&place, &names);
    peer.signal(Signal::USR1);
    let stats = peer.expect("stats");
    assert!(
        stats["shared"].as_u64().unwrap() < COUNT as u64,
        "it came after all the work: {stats}"
    );
    let asked = Instant::now();
    peer.signal(Signal::TERM);
    assert_eq!(peer.wait(), 0);
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

#[test]
fn h3_a_running_peer_takes_many_paths_at_once() {
    const COUNT: usize = 1_000;
    let place = Place::new();
    let names = files(&place, COUNT);
    let peer = serve(&place, &[]);
    let mut command = place.command(&["share", "--wait", "--json"]);
    command.args(&names).arg("nowhere").current_dir(place.path("d"));
    let began = Instant::now();
    let end = command.output().unwrap();
    // Was a snapshot and a commit for each, so more than four minutes.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let told = values(std::str::from_utf8(&end.stdout).unwrap());
    let shared: Vec<&str> = told.iter().filter_map(|event| event["name"].as_str()).collect();
    assert_eq!(shared, names, "each once, in their order");
    assert!(told.iter().all(|event| event["event"] == "error" || event["remembered"] == true));
    assert_eq!(end.status.code(), Some(69), "one of them is not there");
    assert_eq!(peer.stop(), 0);
    let mut again = serve(&place, &[]);
    (0..COUNT).for_each(|_| drop(again.expect("shared")));
    assert_eq!(again.stop(), 0);
}
