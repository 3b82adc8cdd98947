//! `send` and `get` between machines that know nothing, and what stands at the ends of a pipe.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use super::program::{Place, Running, values};

const MIB: usize = 1 << 20;

/// A machine: a home in which nothing ever ran, and a folder for temporary files.
struct Machine(Place);

impl Machine {
    fn new() -> Self {
        let place = Place::new();
        fs::create_dir(place.path("tmp")).unwrap();
        Self(place)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.command(args);
        command.env("TMPDIR", self.0.path("tmp"));
        command
    }

    fn file(&self, name: &str, bytes: usize, seed: u8) -> (String, Vec<u8>) {
        let bytes: Vec<u8> =
            (0..bytes).map(|i| (i.wrapping_mul(31) >> 3) as u8 ^ seed ^ (i >> 16) as u8).collect();
        (self.0.write(name, &bytes), bytes)
    }

    fn send(&self, args: &[&str]) -> Running {
        let args: Vec<&str> = ["send", "--json"].iter().chain(args).copied().collect();
        Running::start(self.command(&args))
    }

    /// Gets into `here`; the exit code and its lines.
    fn get(&self, link: &str, more: &[&str]) -> (i32, Vec<Value>, String) {
        // A link that holds a secret stands in a file.
        let file = self.0.write("link", format!("{link}\n").as_bytes());
        let here = self.0.path("here").to_str().unwrap().to_owned();
        let (at, json) = (format!("@{file}"), "--json");
        let mut args = vec!["get", &at, json, "-o", &here, "--timeout", "80"];
        args.extend(more);
        let end = self.command(&args).output().unwrap();
        let lines = values(&String::from_utf8(end.stdout).unwrap());
        (end.status.code().unwrap_or(-1), lines, String::from_utf8(end.stderr).unwrap())
    }

    fn got(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path("here").join(name)).unwrap()
    }

    /// Names in a folder of it.
    fn names(&self, dir: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.0.path(dir)) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Nothing is left but what was fetched.
    fn knows_nothing(&self) {
        assert_eq!(self.names("tmp"), [""; 0]);
        assert_eq!(self.names(".local/state"), [""; 0]);
    }
}

fn link(sender: &Running) -> String {
    sender.ready["link"].as_str().unwrap().to_owned()
}

/// The secret in a link.
fn secret(link: &str) -> String {
    link.split_once("secret=").unwrap().1.to_owned()
}

#[test]
fn c2_two_machines_that_know_nothing_send_and_get() {
    let (here, there) = (Machine::new(), Machine::new());
    let (path, bytes) = here.file("a file.bin", 3 * MIB + 7, 1);
    let mut sender = here.send(&[&path]);
    let link = link(&sender);
    assert!(link.contains("n=a%20file.bin") && secret(&link).len() == 26, "{link}");
    let (code, lines, err) = there.get(&link, &["-v"]);
    assert_eq!(code, 0, "{err}");
    assert!(!err.contains(&secret(&link)), "the secret is in the log: {err}");
    assert!(there.got("a file.bin") == bytes);
    assert_eq!(there.names("here"), ["a file.bin"]);
    let done = sender.expect("done");
    assert_eq!(done["bytes"], bytes.len());
    let ready = lines.iter().find(|line| line["event"] == "ready").unwrap();
    assert_eq!(done["receivers"][0]["peer"], ready["peer"]);
    assert_eq!(sender.wait(), 0);
    here.knows_nothing();
    there.knows_nothing();
}

#[test]
fn c2_without_json_the_link_is_the_first_line_and_the_verdict_the_last() {
    let (here, there) = (Machine::new(), Machine::new());
    let (path, bytes) = here.file("x.bin", 100_000, 2);
    let mut sender = here.command(&["send", &path, "--no-qr", "--timeout", "80"]);
    let mut sender = sender.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(sender.stdout.take().unwrap());
    let mut first = String::new();
    std::io::BufRead::read_line(&mut out, &mut first).unwrap();
    // The link on standard input.
    let here_dir = there.0.path("here");
    let mut getter = there.command(&["get", "-o", here_dir.to_str().unwrap()]);
    let mut getter = getter.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    getter.stdin.take().unwrap().write_all(first.as_bytes()).unwrap();
    let end = getter.wait_with_output().unwrap();
    assert_eq!(end.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(end.stdout).unwrap().trim(),
        here_dir.join("x.bin").to_str().unwrap()
    );
    assert!(there.got("x.bin") == bytes);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.lines().count(), 1, "{rest}");
    assert!(rest.starts_with("sent x.bin (") && rest.contains("every chunk verified"), "{rest}");
    let mut err = String::new();
    sender.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(!err.contains(&secret(first.trim())), "{err}");
    assert_eq!(sender.wait().unwrap().code(), Some(0));
    here.knows_nothing();
}

#[test]
fn c2_a_wrong_secret_gets_nothing_and_says_so() {
    let (here, there) = (Machine::new(), Machine::new());
    let (path, _) = here.file("x.bin", 100_000, 3);
    let sender = here.send(&[&path]);
    let link = link(&sender);
    let wrong = link.replace(&secret(&link), "abcdefghijklmnopqrstuvwxyz");
    let (code, lines, err) = there.get(&wrong, &[]);
    assert_eq!(code, 3, "{err}");
    let error = lines.iter().find(|line| line["event"] == "error" && line["code"] == "tracker");
    let error = error.unwrap_or_else(|| panic!("{lines:?}"));
    assert!(error["message"].as_str().unwrap().contains("secret"), "{error}");
    assert!(!err.contains("abcdefghijklmnopqrstuvwxyz"), "{err}");
    let without = link.split_once("&secret").unwrap().0.to_owned();
    assert_eq!(there.get(&without, &["--state", there.0.path("s").to_str().unwrap()]).0, 3);
    assert_eq!(there.names("here"), [""; 0]);
    assert_eq!(sender.stop(), 143);
    here.knows_nothing();
}

#[test]
fn c2_a_receiver_that_is_killed_goes_on_with_the_part_it_left() {
    let (here, there) = (Machine::new(), Machine::new());
    let (path, bytes) = here.file("big.bin", 24 * MIB, 4);
    let mut sender = here.send(&[&path, "--up", "6M"]);
    let link = link(&sender);
    let dir = there.0.path("here").to_str().unwrap().to_owned();
    let mut first = Running::start(there.command(&["get", &link, "--json", "-o", &dir]));
    loop {
        let at = first.expect("progress");
        if at["have"].as_u64() >= at["chunks"].as_u64().map(|chunks| chunks / 2) {
            break;
        }
    }
    first.signal(Signal::KILL);
    first.wait();
    let (code, lines, err) = there.get(&link, &[]);
    assert_eq!(code, 0, "{err}");
    assert!(there.got("big.bin") == bytes);
    assert_eq!(there.names("here"), ["big.bin"]);
    let exit = lines.iter().find(|line| line["event"] == "exit").unwrap();
    let down = exit["down"].as_u64().unwrap();
    assert!(down < bytes.len() as u64 * 60 / 100, "the second run fetched {down}");
    // Half of it to one that was killed is nothing.
    assert_eq!(sender.expect("done")["receivers"].as_array().unwrap().len(), 1);
    assert_eq!(sender.wait(), 0);
    // What the killed one left goes with the next.
    there.knows_nothing();
}

#[test]
fn c2_two_receivers_are_waited_for() {
    let (here, one, two) = (Machine::new(), Machine::new(), Machine::new());
    let (path, bytes) = here.file("x.bin", 2 * MIB, 5);
    let mut sender = here.send(&[&path, "--to", "2"]);
    let link = link(&sender);
    assert_eq!(one.get(&link, &[]).0, 0);
    let complete = |sender: &mut Running| loop {
        let at = sender.expect("receiver");
        if at["complete"] == true {
            break at["peer"].as_str().unwrap().to_owned();
        }
    };
    let first = complete(&mut sender);
    assert_eq!(two.get(&link, &[]).0, 0);
    assert!(two.got("x.bin") == bytes && one.got("x.bin") == bytes);
    let done = sender.expect("done");
    let peers = done["receivers"].as_array().unwrap();
    assert!(peers.len() == 2 && peers[0]["peer"] == first && peers[1]["peer"] != first, "{done}");
    assert_eq!(sender.wait(), 0);
}

#[test]
fn c2_several_paths_go_with_one_link() {
    let (here, there) = (Machine::new(), Machine::new());
    let (a, first) = here.file("a.bin", 200_000, 6);
    fs::create_dir_all(here.0.path("dir/sub")).unwrap();
    here.0.write("dir/sub/b", b"in a folder");
    here.0.write("dir/empty", b"");
    let dir = here.0.path("dir").to_str().unwrap().to_owned();
    let mut sender = here.send(&[&a, &dir]);
    let (code, _, err) = there.get(&link(&sender), &[]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(there.names("here"), ["a.bin", "dir"]);
    assert!(there.got("a.bin") == first && there.got("dir/sub/b") == b"in a folder");
    sender.expect("done");
    assert_eq!(sender.wait(), 0);
}

#[test]
fn c2_the_folder_of_a_run_is_private_and_gone_after_a_signal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let here = Machine::new();
        let (path, _) = here.file("x.bin", 100_000, 7);
        let sender = here.send(&[&path]);
        let [folder] = here.names("tmp").try_into().unwrap();
        let mode = |path: &Path| {
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions())
        };
        let folder = here.0.path("tmp").join(folder);
        assert_eq!(mode(&folder) & 0o777, 0o700);
        assert!(folder.join("state/identity.key").exists());
        sender.signal(signal);
        assert_eq!(sender.wait(), code);
        here.knows_nothing();
        assert!(Path::new(&path).exists());
    }
}

#[test]
fn c2_time_that_is_over_and_what_cannot_be_sent_end_it() {
    let here = Machine::new();
    let (path, _) = here.file("x.bin", 100_000, 8);
    let empty = here.0.write("empty", b"");
    for (args, code, word) in [
        (&["send", &path, "--timeout", "1"][..], 1, "not within the time"),
        (&["send", &empty], 2, "not one byte"),
        (&["send", "/nowhere/x"], 4, "/nowhere/x"),
        (&["send", &path, &empty, "--name", "x"], 2, "--name"),
        (&["send", "-", "-"], 2, "once"),
        (&["send", "-", "--name", "../x"], 2, "../x"),
        (&["send"], 2, "PATH"),
    ] {
        let end = here.command(args).output().unwrap();
        let err = String::from_utf8(end.stderr).unwrap();
        assert_eq!(end.status.code(), Some(code), "{args:?}: {err}");
        assert!(err.contains(word), "{args:?}: {err}");
    }
    here.knows_nothing();
}

#[test]
fn c3_standard_input_on_one_side_is_standard_output_on_the_other() {
    let (here, there) = (Machine::new(), Machine::new());
    let (_, bytes) = here.file("unused", 5 * MIB + 11, 9);
    let mut sender = here.command(&["send", "-", "--name", "x.tar", "--json"]);
    let input = here.0.path("unused");
    sender.stdin(fs::File::open(&input).unwrap());
    let mut sender = Running::start(sender);
    let link = link(&sender);
    assert!(link.contains("n=x.tar"), "{link}");
    let end = there.command(&["get", &link, "-o", "-", "--timeout", "80"]).output().unwrap();
    assert_eq!(end.status.code(), Some(0), "{}", String::from_utf8_lossy(&end.stderr));
    assert!(end.stdout == bytes, "{} bytes", end.stdout.len());
    sender.expect("done");
    assert_eq!(sender.wait(), 0);
    here.knows_nothing();
    there.knows_nothing();
    assert_eq!(there.names("Downloads"), [""; 0]);
}

#[test]
fn c3_a_pipe_that_is_closed_ends_it_at_once() {
    let (here, there) = (Machine::new(), Machine::new());
    let (path, bytes) = here.file("big.bin", 32 * MIB, 10);
    let sender = here.send(&[&path, "--up", "8M"]);
    let mut getter = there.command(&["get", &link(&sender), "-o", "-"]);
    let mut getter = getter.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut head = vec![0; 100_000];
    let mut out = getter.stdout.take().unwrap();
    out.read_exact(&mut head).unwrap();
    assert!(head == bytes[..head.len()]);
    drop(out);
    let end = getter.wait_with_output().unwrap();
    let err = String::from_utf8(end.stderr).unwrap();
    assert_eq!(end.status.code(), Some(141), "{err}");
    assert!(!err.contains("panic"), "{err}");
    there.knows_nothing();
    assert_eq!(sender.stop(), 143);
}

#[test]
fn c3_a_folder_is_refused_and_one_of_its_files_is_not() {
    let (here, there) = (Machine::new(), Machine::new());
    fs::create_dir_all(here.0.path("dir/sub")).unwrap();
    let (_, bytes) = here.file("dir/sub/b.bin", 300_000, 11);
    here.file("dir/a.bin", 200_000, 12);
    let dir = here.0.path("dir").to_str().unwrap().to_owned();
    let sender = here.send(&[&dir]);
    let link = link(&sender);
    for (more, code, word) in [
        (&[][..], 2, "is a folder"),
        (&["--files", "nosuch"], 4, "nosuch"),
        (&["--files", "sub/*.txt"], 4, "nothing in it matches \"sub/*.txt\""),
        (&["--files", "a.bin,sub/b.bin"], 2, "2 files (a.bin, sub/b.bin)"),
        (&["--files", "**/*.bin"], 2, "2 files (a.bin, sub/b.bin)"),
        (&["--files", "sub/b.bin", "--json"], 2, "--json"),
        (&["--files", "sub/b.bin", "--seed"], 2, "--seed"),
    ] {
        let mut args = vec!["get", &link, "-o", "-", "--timeout", "80"];
        args.extend(more);
        let end = there.command(&args).output().unwrap();
        let err = String::from_utf8(end.stderr).unwrap();
        assert_eq!(end.status.code(), Some(code), "{more:?}: {err}");
        assert!(err.contains(word) && end.stdout.is_empty(), "{more:?}: {err}");
    }
    for file in ["sub/b.bin", "sub/*.bin"] {
        let args = ["get", &link, "-o", "-", "--files", file, "--timeout", "80"];
        let end = there.command(&args).output().unwrap();
        assert_eq!(end.status.code(), Some(0), "{}", String::from_utf8_lossy(&end.stderr));
        assert!(end.stdout == bytes, "{file}: {} bytes", end.stdout.len());
    }
    there.knows_nothing();
    // Nothing of that was a reception.
    assert_eq!(sender.stop(), 143);
}

#[test]
fn c2_where_a_network_is_known_it_is_used_and_stays_as_it_is() {
    let place = Place::new();
    let host = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    let file = place.write("x.bin", &[7; 100_000]);
    // The home of the host knows its own network, once the host was let into it.
    crate::program::wait_for(&place.path(".local/state/shoal/network.join"));
    let args = ["send", "--json", &file, "--name", "sent.bin"];
    let mut sender = Running::start(place.command(&args));
    let link = link(&sender);
    assert!(!link.contains("secret"), "{link}");
    let here = place.path("here").to_str().unwrap().to_owned();
    let end = place.run(&["get", "sent.bin", "-o", &here]);
    assert_eq!(end.code, 0, "{}", end.err);
    assert_eq!(fs::read(place.path("here/sent.bin")).unwrap(), [7; 100_000]);
    sender.expect("done");
    assert_eq!(sender.wait(), 0);
    // A link of its own where one is wanted all the same, got by a home that knows another network.
    let sender = Running::start(place.command(&["send", "--json", &file, "--host"]));
    let own = sender.ready["link"].as_str().unwrap().to_owned();
    assert!(own.contains("secret="), "{own}");
    let before = fs::read(place.path(".local/state/shoal/network.join")).unwrap();
    let end = place.run(&["get", &own, "-o", place.path("own").to_str().unwrap()]);
    assert_eq!(end.code, 0, "{}", end.err);
    assert_eq!(sender.wait(), 0);
    assert_eq!(fs::read(place.path(".local/state/shoal/network.join")).unwrap(), before);
    assert_eq!(host.stop(), 0);
}

#[test]
fn c2_a_link_to_another_network_moves_no_peer_out_of_its_own() {
    let place = Place::new();
    let mine = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    let far = Place::new();
    let file = far.write("far.bin", &[8; 100_000]);
    let mut theirs = Running::start(far.command(&["--serve-only", "--host", "--json", &file]));
    let id = theirs.expect("shared")["id"].as_str().unwrap().to_owned();
    let link = format!("{}/{id}?n=far.bin", theirs.ready["join"].as_str().unwrap());
    assert!(!link.contains("secret="), "{link}");
    let tracker = || values(&place.run(&["status", "--json"]).out)[0]["tracker"].clone();
    let before = tracker();
    // By a peer of that run, as nothing of that network is known here.
    let here = place.path("here").to_str().unwrap().to_owned();
    let end = place.run(&["get", &link, "-o", &here, "--json", "--timeout", "80"]);
    assert_eq!(end.code, 0, "{}", end.err);
    assert_eq!(fs::read(place.path("here/far.bin")).unwrap(), [8; 100_000]);
    assert_eq!(tracker(), before);
    // Nor where the command is told that this network is the one.
    let join = theirs.ready["join"].as_str().unwrap();
    let end = place.run(&["get", &link, "--tracker", join, "--json"]);
    assert_eq!(end.code, 75, "{}", end.out);
    assert_eq!(tracker(), before);
    assert_eq!((mine.stop(), theirs.stop()), (0, 0));
}

#[test]
fn c2_a_signal_while_a_command_begins_is_not_lost() {
    let here = Machine::new();
    let (path, _) = here.file("x.bin", 100_000, 13);
    let id = common::id::ContentId::from_bytes([7; 32]);
    let link = format!("{}/{id}?n=x", here.0.gone_tracker());
    // All of these wait for somebody until they are told to stop, whenever that is.
    for args in [&["send", &path][..], &["get", &link], &["get", &link, "-o", "-"]] {
        for wait in [30, 60, 90, 120, 150, 200, 300, 450] {
            let began = std::time::Instant::now();
            let running = Running::silent(here.command(args));
            std::thread::sleep(std::time::Duration::from_millis(wait));
            // Not INT: a shell starts what runs behind it with INT ignored, and so are these until they listen.
            running.signal(Signal::TERM);
            // Before it listens for signals the system ends it.
            let code = running.wait();
            assert!(matches!(code, 143 | -1), "{args:?} after {wait} ms: {code}");
            assert!(began.elapsed().as_secs() < 15, "{args:?} after {wait} ms: not heard");
        }
    }
    here.knows_nothing();
}

#[test]
fn c2_a_secret_that_was_typed_wrong_is_not_repeated() {
    let place = Place::new();
    let peer = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    let secret = "abcdefghijklmnopqrstuvwxyz";
    let wrong = format!("shoal:/typo@h:1?secret={secret}");
    for args in
        [&["get", &wrong][..], &["pause", &wrong], &["verify", &wrong], &["unshare", &wrong]]
    {
        let end = place.run(&[args, &["--json"]].concat());
        assert_eq!(end.code, 4, "{args:?}: {}", end.err);
        for text in [&end.out, &end.err] {
            assert!(text.contains("secret=***") && !text.contains(secret), "{args:?}: {text}");
        }
    }
    assert_eq!(peer.stop(), 0);
}
