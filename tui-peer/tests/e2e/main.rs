//! The real programs, end to end: what has to hold when things die, lie or fill up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[cfg(target_os = "linux")]
mod deaf;
mod descriptors;
mod evil;
mod harness;
mod inside;
mod standby;
mod stranger;
mod torrent;

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use harness::{Net, PATIENCE, last, same};

const MIB: usize = 1 << 20;

#[test]
fn three_seeders_one_is_killed_half_way_and_no_gap_is_felt() {
    let net = Net::start();
    let file = net.file("big.bin", 256 * MIB, 1);
    let first = net.seeder("s1", &file, &["--up", "30M"]);
    let _second = net.seeder("s2", &file, &["--up", "30M"]);
    let _third = net.seeder("s3", &file, &["--up", "30M"]);
    let mut getter = net.peer("l", &["get", "big.bin"]);
    let half = |v: &serde_json::Value| {
        v["event"] == "progress" && v["have"].as_u64() >= v["chunks"].as_u64().map(|c| c / 2)
    };
    let at = getter.expect(half);
    first.kill();
    let (mut have, mut moved) = (at["have"].as_u64().unwrap(), Instant::now());
    let mut gap = Duration::ZERO;
    while let Some(line) = getter.next_within(PATIENCE) {
        if line["event"] == "progress" && line["have"].as_u64().unwrap() > have {
            have = line["have"].as_u64().unwrap();
            gap = gap.max(moved.elapsed());
            moved = Instant::now();
        }
        if line["event"] == "done" {
            break;
        }
    }
    assert_eq!(getter.finish().1, 0);
    same(&file, &net.downloaded("l", "big.bin"));
    // Progress is told every half second.
    assert!(gap < Duration::from_millis(2500), "a gap of {gap:?}");
}

#[test]
fn a_killed_download_goes_on_where_it_was() {
    let net = Net::start();
    let file = net.file("big.bin", 96 * MIB, 2);
    // What is on its way at the kill is sent again: on a busy machine the more the faster it goes.
    let seeder = net.seeder("s", &file, &["--up", "12M"]);
    let mut getter = net.peer("l", &["get", "big.bin"]);
    getter.expect(|v| {
        v["event"] == "progress" && v["have"].as_u64() >= v["chunks"].as_u64().map(|c| c / 2)
    });
    getter.kill();
    let (lines, code) = net.peer("l", &["get", "big.bin"]).finish();
    assert_eq!(code, 0, "{lines:?}");
    same(&file, &net.downloaded("l", "big.bin"));
    let sent = seeder.stop()["up"].as_u64().unwrap();
    let size = 96 * MIB as u64;
    assert!(sent <= size * 105 / 100, "{sent} bytes sent for {size}");
    let down = last(&lines, "exit")["down"].as_u64().unwrap();
    assert!(down < size * 60 / 100, "the second run fetched {down}");
}

#[test]
fn f12_after_a_kill_no_small_file_that_was_whole_is_fetched_again() {
    const LEN: usize = 35_000;
    let net = Net::start();
    (0..600).for_each(|n| drop(net.file(&format!("tree/f{n}"), LEN, n)));
    let _seeder = net.seeder("s", &net.path("tree"), &["--up", "8M"]);
    let mut getter = net.peer("l", &["get", "tree"]);
    getter.expect(|v| v["event"] == "progress" && v["have"].as_u64() >= Some(200));
    getter.kill();
    let part = fs::read_dir(net.path("l.d")).unwrap().map(|entry| entry.unwrap().path());
    let part = part.into_iter().find(|path| path.is_dir()).unwrap();
    let found = fs::read_dir(part).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let whole = found.filter(|bytes| bytes.len() == LEN && bytes[LEN - 8..] != [0; 8]);
    let missing = 600 - whole.count();
    let (lines, code) = net.peer("l", &["get", "tree"]).finish();
    assert_eq!(code, 0, "{lines:?}");
    same(&net.path("tree/f599"), &net.downloaded("l", "tree/f599"));
    let down = last(&lines, "exit")["down"].as_u64().unwrap();
    // What had only just been written, and not noted, by one worker of each core.
    let unsure = std::thread::available_parallelism().map_or(16, usize::from);
    let most = ((missing + unsure) * LEN) as u64;
    assert!(missing < 400 && down <= most, "{down} bytes fetched with {missing} files missing");
}

#[test]
fn a_killed_tracker_stops_nothing_and_comes_back_knowing_everything() {
    let mut net = Net::start();
    let file = net.file("big.bin", 96 * MIB, 3);
    let _s1 = net.seeder("s1", &file, &["--up", "10M"]);
    let _s2 = net.seeder("s2", &file, &["--up", "10M"]);
    let mut getter = net.peer("l", &["get", "big.bin", "--seed"]);
    getter.expect(|v| v["event"] == "progress" && v["have"].as_u64() > Some(50));
    net.kill_tracker();
    getter.expect(|v| v["event"] == "done");
    same(&file, &net.downloaded("l", "big.bin"));
    net.start_tracker();
    let begun = Instant::now();
    // The catalogue is there at once; the peers come back by themselves.
    loop {
        let (rows, code) = net.peer("ls", &["ls"]).finish();
        assert_eq!(code, 0);
        assert_eq!(rows[0]["name"], "big.bin");
        if rows[0]["complete"] == 3 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{rows:?}");
    }
    let (lines, code) = net.peer("l2", &["get", "big.bin"]).finish();
    assert_eq!(code, 0, "{lines:?}");
    same(&file, &net.downloaded("l2", "big.bin"));
}

#[test]
fn liars_and_sleepers_among_honest_sources_change_nothing() {
    let net = Net::start();
    let file = net.file("big.bin", 48 * MIB, 4);
    let _s1 = net.seeder("s1", &file, &["--up", "8M"]);
    let _s2 = net.seeder("s2", &file, &["--up", "8M"]);
    let liar = evil::start(&net.join, &file, evil::Manner::AltersEveryTenth);
    let _silent = evil::start(&net.join, &file, evil::Manner::ServesNothing);
    let _stops = evil::start(&net.join, &file, evil::Manner::StopsInMidChunk);
    let (lines, code) = net.peer("l", &["get", "big.bin"]).finish();
    assert_eq!(code, 0, "{lines:?}");
    same(&file, &net.downloaded("l", "big.bin"));
    let banned = lines.iter().find(|v| v["banned"] == true && v["peer"] == liar.peer.to_string());
    let banned = banned.unwrap_or_else(|| panic!("the liar was not banned: {lines:?}"));
    let message = banned["message"].as_str().unwrap();
    assert!(message.contains(&liar.peer.short()) && message.contains("wrong hashes"), "{message}");
}

#[test]
fn the_same_bytes_under_two_names_are_one_row_with_two_sources() {
    let net = Net::start();
    let (a, b) = (net.file("a/one.bin", MIB, 5), net.file("b/two.bin", MIB, 5));
    let _s1 = net.seeder("s1", &a, &[]);
    let _s2 = net.seeder("s2", &b, &[]);
    let (rows, code) = net.peer("ls", &["ls"]).finish();
    assert_eq!((rows.len(), code), (1, 0), "{rows:?}");
    assert_eq!((&rows[0]["sources"], &rows[0]["complete"]), (&2.into(), &2.into()));
    for name in ["one.bin", "two.bin"] {
        let (lines, code) = net.peer(name, &["get", name]).finish();
        assert_eq!(code, 0, "{lines:?}");
        same(&a, &net.downloaded(name, name));
    }
}

#[test]
fn a_folder_arrives_whole_and_chosen_files_alone() {
    let net = Net::start();
    for i in 0..1000 {
        net.file(&format!("tree/{}/f{i}", i % 7), i * 13 % 5000, i as u64);
    }
    net.file("tree/large.bin", 3 * MIB, 77);
    fs::create_dir_all(net.path("tree/empty")).unwrap();
    let _seeder = net.seeder("s", &net.path("tree"), &[]);
    let (lines, code) = net.peer("l", &["get", "tree"]).finish();
    assert_eq!(code, 0, "{lines:?}");
    let copy = net.downloaded("l", "tree");
    for i in 0..1000 {
        let name = format!("{}/f{i}", i % 7);
        same(&net.path("tree").join(&name), &copy.join(&name));
    }
    same(&net.path("tree/large.bin"), &copy.join("large.bin"));
    assert!(copy.join("empty").is_dir());

    let (lines, code) = net.peer("some", &["get", "tree", "--files", "0/f7,1/f1,2/f9"]).finish();
    assert_eq!(code, 0, "{lines:?}");
    let copy = net.downloaded("some", "tree");
    for name in ["0/f7", "1/f1", "2/f9"] {
        same(&net.path("tree").join(name), &copy.join(name));
    }
    assert!(!copy.join("large.bin").exists());
    let wanted = 7 * 13 + 13 + 9 * 13;
    assert!(last(&lines, "done")["bytes"] == wanted, "{lines:?}");
}

#[test]
fn an_empty_file_and_a_tiny_one_arrive() {
    let net = Net::start();
    for (name, size) in [("empty", 0), ("tiny", 1), ("odd", 65_537)] {
        let file = net.file(name, size, 6);
        let _seeder = net.seeder(&format!("s-{name}"), &file, &[]);
        let (lines, code) = net.peer(&format!("l-{name}"), &["get", name]).finish();
        assert_eq!(code, 0, "{name}: {lines:?}");
        same(&file, &net.downloaded(&format!("l-{name}"), name));
    }
}

#[test]
fn a_restart_with_unchanged_shares_reads_nothing() {
    let net = Net::start();
    let file = net.file("big.bin", 8 * MIB, 8);
    // A file changed within two seconds of being hashed is hashed again, to be sure; this one is old.
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    net.seeder("s", &file, &[]).stop();
    let mut command = net.command("s", &["--serve-only"]);
    command.stderr(fs::File::create(net.path("log")).unwrap());
    let mut again = harness::Program::spawn(command);
    again.expect(|v| v["event"] == "shared");
    again.stop();
    let log = fs::read_to_string(net.path("log")).unwrap();
    assert!(!log.contains("hashed big.bin"), "{log}");
}

#[test]
fn a_changed_share_is_noticed_before_it_is_served() {
    let net = Net::start();
    let file = net.file("doc", 300_000, 9);
    let mut seeder = net.seeder("s", &file, &[]);
    net.file("doc", 300_000, 10);
    // Nobody gets the old name with new bytes: the old content vanishes and the new one appears.
    let (rows, _) = net.peer("ls", &["ls"]).finish();
    let old = rows[0]["id"].as_str().unwrap().to_owned();
    let mut getter = net.peer("l", &["get", &old, "--timeout", "5"]);
    seeder.expect(|v| v["event"] == "error" && v["code"] == "changed");
    let new = seeder.expect(|v| v["event"] == "shared");
    assert_ne!(new["id"].as_str(), Some(old.as_str()));
    assert!(getter.next_within(PATIENCE).is_some());
    assert_ne!(getter.finish().1, 0);
    assert!(!net.downloaded("l", "doc").exists());
}

#[test]
fn what_is_not_there_is_said_with_its_own_exit_code() {
    let net = Net::start();
    let (lines, code) = net.peer("l", &["get", "no such thing"]).finish();
    assert_eq!(code, 4, "{lines:?}");
    assert_eq!(last(&lines, "error")["code"], "not-found");
    let mut nowhere = net.command("n", &["ls"]);
    nowhere.env_remove("SHOAL_TRACKER");
    assert_eq!(harness::Program::spawn(nowhere).finish().1, 3);
}

#[test]
fn s6_silent_sockets_keep_nobody_from_a_peer_nor_from_a_tracker() {
    common::descriptors::raise_limit().unwrap();
    let net = Net::start();
    let file = net.file("small.bin", 4 * MIB, 6);
    let mut seeder = net.peer("s", &["--serve-only", file.to_str().unwrap()]);
    let ready = seeder.expect(|v| v["event"] == "ready");
    seeder.expect(|v| v["event"] == "shared");
    let join: common::join::JoinString = net.join.parse().unwrap();
    let mut silent = Vec::new();
    for to in [ready["addr"].as_str().unwrap(), join.address().as_str()] {
        for n in 0..400 {
            let mut stream = std::net::TcpStream::connect(to).unwrap();
            if n % 2 == 0 {
                // A handshake of TLS that goes no further.
                stream.write_all(&[0x16, 3, 1, 0, 200, 1]).unwrap();
            }
            silent.push(stream);
        }
    }
    let start = Instant::now();
    let (lines, code) = net.peer("l", &["get", "small.bin"]).finish();
    assert_eq!(code, 0, "{lines:?}");
    same(&file, &net.downloaded("l", "small.bin"));
    // Waiting for the deadlines of all these, some at a time, would take minutes.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// A source that holds memory, wastes the line or makes others wait gains nothing by it.
fn beside_an_honest_source(manner: evil::Manner) {
    let net = Net::start();
    let file = net.file("big.bin", 40 * MIB, 21);
    let _honest = net.seeder("s", &file, &["--up", "8M"]);
    let liar = evil::start(&net.join, &file, manner);
    let (lines, code) = net.peer("l", &["get", "big.bin", "--down", "8M"]).finish();
    assert_eq!(code, 0, "{lines:?}");
    same(&file, &net.downloaded("l", "big.bin"));
    let banned = |v: &serde_json::Value| v["banned"] == true && v["peer"] == liar.peer.to_string();
    assert_eq!(lines.iter().any(banned), manner.is_fault(), "{manner:?}: {lines:?}");
    let exit = last(&lines, "exit");
    let wasted = exit["wasted"].as_u64().unwrap();
    assert!(wasted < 8 * MIB as u64, "{manner:?} wasted {wasted} bytes of the line: {exit}");
}

#[test]
fn s1_one_byte_frames_do_not_hold_the_pool() {
    beside_an_honest_source(evil::Manner::SendsCrumbs);
}

#[test]
fn s1_nine_tenths_of_every_chunk_do_not_hold_the_budget() {
    beside_an_honest_source(evil::Manner::FinishesNothing);
}

#[test]
fn s1_breaking_off_does_not_waste_the_line() {
    beside_an_honest_source(evil::Manner::BreaksOff);
}

#[test]
fn s1_a_trickle_holds_up_nobody() {
    beside_an_honest_source(evil::Manner::Trickles);
}

/// 150 members that ask for everything and read nothing.
#[test]
#[cfg(target_os = "linux")]
fn s2_members_that_ask_and_do_not_read_take_no_memory() {
    let net = Net::start();
    // Contents of 1,024 hashes each: 48 peers may have one open.
    let sparse = |n: u8| deaf::sparse(&net.path(&format!("{n}.bin")), n, deaf::MANY_CHUNKS);
    let files: Vec<_> = (0..4).map(sparse).collect();
    let doc = net.file("doc", 3 * MIB, 30);
    let mut args = vec!["--serve-only", doc.to_str().unwrap()];
    args.extend(files.iter().map(|file| file.path.to_str().unwrap()));
    let mut seeder = net.peer("s", &args);
    let ready = seeder.expect(|v| v["event"] == "ready");
    (0..5).for_each(|_| drop(seeder.expect(|v| v["event"] == "shared")));
    let before = seeder.peak_memory();
    let attack = deaf::start(&net.join, &ready, &files, 150);
    assert!(attack.opened > 100, "{} are connected", attack.opened);
    let (lines, code) = net.peer("l", &["get", "doc"]).finish();
    assert_eq!(code, 0, "{lines:?}");
    same(&doc, &net.downloaded("l", "doc"));
    let peak = seeder.peak_memory();
    assert!(peak < 150_000_000, "{before} bytes before, {peak} at the peak");
    drop(attack);
}

/// 200 members that ask and do not read, begin long messages, or listen to nothing, at a peer that fetches
/// chunks of 4 MiB and many small ones.
#[test]
#[cfg(target_os = "linux")]
fn s2_a_download_beside_200_members_takes_no_memory() {
    let net = Net::start();
    let names = ["0.bin", "1.bin", "2.bin", "3.bin", "large.bin"];
    let sizes = [deaf::MANY_CHUNKS; 4].into_iter().chain([deaf::LARGE_CHUNKS]);
    let files: Vec<_> = names
        .iter()
        .zip(0u8..)
        .zip(sizes)
        .map(|((name, n), size)| deaf::sparse(&net.path(name), n, size))
        .collect();
    let mut args = vec!["--serve-only"];
    args.extend(files.iter().map(|file| file.path.to_str().unwrap()));
    let mut seeder = net.peer("s", &args);
    names.iter().for_each(|_| drop(seeder.expect(|v| v["event"] == "shared")));
    let mut get = vec!["get", "--seed"];
    get.extend(names);
    let mut getter = net.peer("l", &get);
    let ready = getter.expect(|v| v["event"] == "ready");
    let is_small = |v: &serde_json::Value| {
        v["event"] == "done" && !v["path"].as_str().unwrap().ends_with("large.bin")
    };
    (0..4).for_each(|_| drop(getter.expect(is_small)));
    let large = |from: u64| {
        move |v: &serde_json::Value| {
            v["event"] == "progress" && v["chunks"] == 1025 && v["have"].as_u64() > Some(from)
        }
    };
    let have = getter.expect(large(0))["have"].as_u64().unwrap();
    let before = getter.peak_memory();
    let attack = deaf::start_mixed(&net.join, &ready, &files, 200);
    let end = getter.expect(large(have + 40));
    let peak = getter.peak_memory();
    assert!(attack.opened > 100, "{} are connected", attack.opened);
    assert!(peak < 150_000_000, "{before} bytes before, {peak} at the peak, at {end}");
    eprintln!("{before} bytes before, {peak} at the peak, {} connected, {end}", attack.opened);
    for (name, file) in names.iter().zip(&files).take(4) {
        same(&file.path, &net.downloaded("l", name));
    }
}

/// Fetches half of a file, is killed, and has `harm` done to its journal; returns the bytes that the
/// next run fetches, and the size.
fn fetched_after(harm: impl FnOnce(&std::path::Path)) -> (u64, u64) {
    let net = Net::start();
    let file = net.file("big.bin", 64 * MIB, 12);
    let _seeder = net.seeder("s", &file, &["--up", "12M"]);
    let mut getter = net.peer("l", &["get", "big.bin"]);
    getter.expect(|v| {
        v["event"] == "progress" && v["have"].as_u64() >= v["chunks"].as_u64().map(|c| c / 2)
    });
    getter.kill();
    let state = fs::read_dir(net.path("l.d")).unwrap().map(|entry| entry.unwrap().path());
    let state = state.into_iter().find(|path| path.extension().is_some_and(|ext| ext == "state"));
    harm(&state.unwrap());
    let (lines, code) = net.peer("l", &["get", "big.bin"]).finish();
    assert_eq!(code, 0, "{lines:?}");
    same(&file, &net.downloaded("l", "big.bin"));
    assert_eq!(fs::read_dir(net.path("l.d")).unwrap().count(), 1, "nothing else is left");
    (last(&lines, "exit")["down"].as_u64().unwrap(), 64 * MIB as u64)
}

#[test]
fn f5_a_flipped_bit_in_the_journal_or_its_loss_does_not_fetch_the_part_again() {
    let flip = |state: &std::path::Path| {
        let mut bytes = fs::read(state).unwrap();
        bytes[200] ^= 4;
        fs::write(state, bytes).unwrap();
    };
    for (what, (down, size)) in [
        ("flipped", fetched_after(flip)),
        ("deleted", fetched_after(|state| fs::remove_file(state).unwrap())),
        ("cut", fetched_after(|state| fs::write(state, b"shoal-dl").unwrap())),
    ] {
        assert!(down < size * 60 / 100, "{what}: {down} of {size} bytes were fetched again");
    }
}

#[test]
fn s8_a_planted_part_and_journal_are_not_believed_by_a_real_get() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can make files of other users");
    }
    let net = Net::start();
    let file = net.file("big.bin", 8 * MIB, 13);
    let _seeder = net.seeder("s", &file, &["--up", "2M"]);
    let mut getter = net.peer("l", &["get", "big.bin"]);
    getter.expect(|v| {
        v["event"] == "progress" && v["have"].as_u64() >= v["chunks"].as_u64().map(|c| c / 2)
    });
    getter.kill();
    let dir = net.path("l.d");
    let mut planted = Vec::new();
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if path.extension().is_some_and(|ext| ext == "part") {
            // Everywhere something else than what its journal vouches for.
            bytes.iter_mut().step_by(1 << 14).for_each(|byte| *byte ^= 1);
            fs::write(&path, &bytes).unwrap();
        }
        std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
        planted.push((path, bytes));
    }
    assert_eq!(planted.len(), 2, "a part and its journal");
    let (lines, code) = net.peer("l", &["get", "big.bin"]).finish();
    assert_eq!(code, 0, "{lines:?}");
    same(&file, &net.downloaded("l", "big.bin"));
    for (path, bytes) in planted {
        assert!(fs::read(&path).unwrap() == bytes, "{} was touched", path.display());
    }
}

#[test]
fn f11_a_download_folder_that_is_renamed_meanwhile_ends_well() {
    let net = Net::start();
    let file = net.file("big.bin", 8 * MIB, 14);
    let folder = net.path("many");
    for n in 0..40 {
        net.file(&format!("many/f{n}"), 100_000, n);
    }
    for (path, name) in [(&file, "big.bin"), (&folder, "many")] {
        let seeder = net.seeder(&format!("s-{name}"), path, &["--up", "2M"]);
        let get = format!("l-{name}");
        let mut getter = net.peer(&get, &["get", name]);
        getter.expect(|v| {
            v["event"] == "progress" && v["have"].as_u64() >= v["chunks"].as_u64().map(|c| c / 4)
        });
        let (before, after) = (net.path(&format!("{get}.d")), net.path(&format!("{get}.moved")));
        fs::rename(&before, &after).unwrap();
        let (lines, code) = getter.finish();
        assert_eq!(code, 0, "{lines:?}");
        let done = last(&lines, "done")["path"].as_str().unwrap().to_owned();
        assert_eq!(std::path::Path::new(&done), after.join(name));
        if path.is_file() {
            same(path, &after.join(name));
        } else {
            (0..40)
                .for_each(|n| same(&path.join(format!("f{n}")), &after.join(format!("many/f{n}"))));
        }
        drop(seeder);
    }
}

#[test]
fn f11_a_limit_of_file_sizes_pauses_a_download_and_ends_no_program() {
    let net = Net::start();
    let file = net.file("big.bin", 8 * MIB, 15);
    let _seeder = net.seeder("s", &file, &[]);
    // In units of 1024 bytes: room for the peer's own files, not for this one.
    let inner = net.command("l", &["get", "big.bin"]);
    let mut limited = std::process::Command::new("bash");
    limited.args(["-c", "ulimit -f 6000; exec \"$0\" \"$@\""]).arg(inner.get_program());
    limited.args(inner.get_args());
    for (name, value) in inner.get_envs() {
        limited.env(name, value.unwrap_or_default());
    }
    let mut getter = harness::Program::spawn(limited);
    let error = getter.expect(|v| v["event"] == "error");
    assert!(error["message"].as_str().unwrap().contains("ulimit -f"), "{error}");
    getter.kill();
    // Without the limit it goes on.
    assert_eq!(net.peer("l", &["get", "big.bin"]).finish().1, 0);
    same(&file, &net.downloaded("l", "big.bin"));
}

#[test]
fn s8_whatever_the_umask_a_download_ends_with_the_mode_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let net = Net::start();
    let file = net.file("one.bin", MIB, 16);
    net.file("many/a", 100_000, 17);
    let _seeder = net.seeder("s", &file, &[]);
    let _other = net.seeder("t", &net.path("many"), &[]);
    for mask in [0o000, 0o002, 0o007, 0o077] {
        for name in ["one.bin", "many"] {
            let peer = format!("l{mask:o}-{name}");
            let inner = net.command(&peer, &["get", name]);
            let mut masked = std::process::Command::new("bash");
            masked.args(["-c", &format!("umask {mask:o}; exec \"$0\" \"$@\"")]);
            masked.arg(inner.get_program()).args(inner.get_args());
            for (name, value) in inner.get_envs() {
                masked.env(name, value.unwrap_or_default());
            }
            let (lines, code) = harness::Program::spawn(masked).finish();
            assert_eq!(code, 0, "{mask:o}: {lines:?}");
            let done = net.downloaded(&peer, name);
            let all = if done.is_dir() { 0o777 } else { 0o666 };
            assert_eq!(fs::metadata(&done).unwrap().permissions().mode() & 0o777, all & !mask);
            assert_eq!(fs::read_dir(done.parent().unwrap()).unwrap().count(), 1);
        }
    }
}
