//! The shell as a person meets it, on a terminal: bars, tables and sentences (P6). What programs read is as ever.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use rustix::process::Signal;
use unicode_width::UnicodeWidthStr as _;

use crate::program::{Place, Running};
use crate::terminal::Terminal;

fn terminal(mut command: Command, (width, height): (u16, u16), env: &[(&str, &str)]) -> Terminal {
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").envs(env.iter().copied());
    Terminal::start(command, width, height)
}

/// Runs to its end; the screen.
fn screen(place: &Place, args: &[&str], env: &[(&str, &str)]) -> (Terminal, String) {
    let mut shell = terminal(place.command(args), (80, 24), env);
    assert!(shell.wait().success(), "{}", shell.text());
    let text = shell.text();
    (shell, text)
}

fn is_plain(shell: &Terminal) -> bool {
    let seen = shell.seen();
    let screen = seen.screen.screen();
    (0..24).flat_map(|y| (0..80).map(move |x| (y, x))).all(|(y, x)| {
        screen.cell(y, x).is_none_or(|cell| cell.fgcolor() == vt100::Color::Default && !cell.bold())
    })
}

/// Whether a line of the log is there, with its time as RFC 3339 has it.
fn has_times(text: &str) -> bool {
    text.lines().any(|line| line.get(10..11) == Some("T") && line.get(4..5) == Some("-"))
}

/// Whether nothing of a bar is left.
fn is_clean(text: &str) -> bool {
    !text.contains(['█', '░', '%', '#'])
}

/// A file of zeros that takes long to read and no room.
fn large(place: &Place) -> String {
    let path = place.write("large.img", b"");
    fs::File::options().write(true).open(&path).unwrap().set_len(64 << 30).unwrap();
    path
}

#[test]
fn p6_lists_are_tables_on_a_terminal_and_lines_elsewhere() {
    let place = Place::new();
    let files = [
        place.write("debian-12.iso", &[1; 300_000]),
        place.write(
            "na\u{ef}ve-and-a-very-long-name-that-does-not-fit-into-80-columns.tar.gz",
            b"x",
        ),
    ];
    let args = ["--serve-only", "--host", "--json", &files[0], &files[1]];
    let mut peer = Running::start(place.command(&args));
    peer.expect("shared");
    peer.expect("shared");
    for name in ["debian", "very"] {
        assert_eq!(place.run(&["ls", name, "--wait"]).code, 0);
    }

    let (shell, text) = screen(&place, &["ls"], &[]);
    let lines: Vec<&str> = text.lines().collect();
    let titles: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(titles[..6], ["NAME", "SIZE", "SOURCES", "COPIES", "WEAKEST", "HERE"], "{text}");
    let end_of = |line: &str, word: &str| line.find(word).map(|at| at + word.len());
    let debian = lines.iter().find(|line| line.starts_with("debian-12.iso")).unwrap();
    assert_eq!(end_of(debian, "293 KiB"), end_of(lines[0], "SIZE"), "{text}");
    assert!(text.contains('…') && text.contains(".tar.gz"), "{text}");
    assert!(text.contains("2 rows, 293 KiB"), "{text}");
    assert!(!is_plain(&shell), "the headers stand out");
    for env in [&[("NO_COLOR", "1")][..], &[("TERM", "dumb")], &[("SHOAL_COLOR", "never")]] {
        let (shell, text) = screen(&place, &["ls"], env);
        assert!(is_plain(&shell) && text.starts_with("NAME"), "{env:?}: {text}");
    }
    let (shell, _) = screen(&place, &["ls", "--color", "never"], &[]);
    assert!(is_plain(&shell));
    let (_, text) = screen(&place, &["ls", "ve-and"], &[("LANG", "C")]);
    assert!(text.contains("na\\u{ef}ve") && text.is_ascii(), "{text}");
    // A program reads what it always read.
    let end = place.run(&["ls", "debian"]);
    assert!(end.out.ends_with("    1 src  debian-12.iso\n") && end.err.is_empty(), "{}", end.out);

    let (_, text) = screen(&place, &["ls", "debain-12.iso"], &[]);
    assert!(text.contains("did you mean \"debian-12.iso\"?"), "{text}");
    assert_eq!(place.run(&["ls", "debain-12.iso"]).err, "");

    let (_, text) = screen(&place, &["status"], &[]);
    let header = text.lines().find(|line| line.starts_with("NAME")).unwrap();
    for title in ["STATE", "SIZE", "WEAKEST", "ID"] {
        assert!(header.contains(title), "{text}");
    }
    assert!(text.contains("sharing") && text.contains("only here"), "{text}");

    assert_eq!(peer.stop(), 0);
}

#[test]
fn p6_members_are_a_table_on_a_terminal_and_lines_elsewhere() {
    let place = Place::new();
    let mut command = place.command(&["--serve-only", "--host", "--json"]);
    command.env("SHOAL_NICK", "Ada");
    let host = Running::start(command);
    let path = place.write("one.bin", &[1; 1000]);
    assert_eq!(place.run(&["share", &path, "--wait"]).code, 0);
    let mut command = place.other("bob", &host.ready, &["--serve-only", "--json"]);
    command.env("SHOAL_NICK", "bob, whose name is longer than that of others");
    let bob = Running::start(command);
    assert_eq!(place.run(&["peers", "--all", "--wait"]).code, 0);

    let (shell, text) = screen(&place, &["peers", "--all"], &[]);
    let lines: Vec<&str> = text.lines().collect();
    let titles: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(titles, ["NAME", "KEY", "ADDRESS", "SHARES", "ONLINE"], "{text}");
    assert!(lines[1].starts_with("Ada ") && lines[1].ends_with("this peer"), "{text}");
    assert!(lines[2].starts_with("bob") && lines[2].contains('…'), "{text}");
    // From the end: a port may end as the number does.
    let before = |line: &str, word: &str| line.rsplit_once(word).map(|(left, _)| left.width());
    let shares = before(lines[0], "  ONLINE");
    assert_eq!(
        before(lines[1], "1  ").map(|at| at + 1),
        shares,
        "numbers end where titles do: {text}"
    );
    let key = |peer: &Running| peer.ready["peer"].as_str().unwrap()[..8].to_owned();
    assert_eq!(before(lines[2], &key(&bob)), before(lines[0], "KEY"), "{text}");
    assert_eq!(lines[3], "2 members", "{text}");
    assert!(!is_plain(&shell), "the headers stand out");
    // A program reads what it always read.
    let end = place.run(&["peers", "--all"]);
    let first = end.out.lines().next().unwrap();
    assert!(first.starts_with(&format!("{}  Ada ", key(&host))), "{}", end.out);
    assert!(first.contains(" 1 share ") && first.ends_with("(this peer)"), "{}", end.out);
    assert_eq!((end.out.lines().count(), end.err.as_str()), (2, ""));
    assert_eq!((bob.stop(), host.stop()), (0, 0));
}

#[test]
fn p6_downloads_have_a_bar_each_and_a_sum_and_leave_the_terminal_clean() {
    let place = Place::new();
    let files = [place.write("one.bin", &[1; 3 << 20]), place.write("two.bin", &[2; 3 << 20])];
    let args = ["--serve-only", "--host", "--json", "--up", "1M", &files[0], &files[1]];
    let mut host = Running::start(place.command(&args));
    host.expect("shared");
    host.expect("shared");
    let to = place.path("to").to_str().unwrap().to_owned();
    let get = || place.other("b", &host.ready, &["get", "one.bin", "two.bin", "-o", &to]);

    let mut shell = terminal(get(), (80, 24), &[]);
    let text = shell.until("both bars and the sum", |text| {
        // What fills a line is taken for one with the next.
        let all = ["one.bin ", "two.bin ", "2 downloads ", "/s "];
        all.iter().all(|word| text.contains(word)) && text.matches('%').count() == 3
    });
    assert!(text.contains("/3.00 MiB") && text.contains("/6.00 MiB"), "{text}");
    assert!(text.contains(['█', '░']) && !has_times(&text), "{text}");
    let (_, text) = screen(&place, &["peers"], &[]);
    let header = text.lines().next().unwrap();
    for title in ["NAME", "KEY", "ADDRESS", "DOWN", "UP", "GOT", "SENT"] {
        assert!(header.contains(title), "{text}");
    }
    assert!(text.contains("127.0.0.1:"), "{text}");
    shell.signal(Signal::INT);
    let status = shell.wait();
    assert!(status.code() == Some(130) && status.signal().is_none(), "{status}");
    assert!(is_clean(&shell.text()), "{}", shell.text());

    // In letters of seven bits, and narrow.
    let mut shell = terminal(get(), (50, 12), &[("LANG", "C")]);
    let text = shell.until("bars", |text| text.contains("2 downloads") && text.contains('%'));
    assert!(text.is_ascii(), "{text}");
    assert!(shell.wait().success());
    let text = shell.text();
    assert!(is_clean(&text) && !has_times(&text), "{text}");
    for name in ["one.bin", "two.bin"] {
        assert!(text.contains(&format!("* {name}: 3.00 MiB in ")), "{text}");
        assert_eq!(fs::metadata(place.path("to").join(name)).unwrap().len(), 3 << 20);
    }
    // Once more: nothing to fetch.
    let mut shell = terminal(get(), (120, 24), &[]);
    assert!(shell.wait().success());
    assert!(shell.text().contains("✓ one.bin: is here already"), "{}", shell.text());
    // To a program only the paths are said.
    let out = get().output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    let mut said: Vec<&str> = said.lines().collect();
    // Each when it is found to be here.
    said.sort_unstable();
    assert_eq!(said, [format!("{to}/one.bin"), format!("{to}/two.bin")]);
    // Who asks for more gets the log.
    let mut shell = terminal(
        place.other(
            "c",
            &host.ready,
            &["get", "one.bin", "-v", "-o", place.path("c2").to_str().unwrap()],
        ),
        (120, 40),
        &[],
    );
    assert!(shell.wait().success());
    assert!(has_times(&shell.text()), "{}", shell.text());
    assert_eq!(host.stop(), 0);
}

#[test]
fn p6_what_is_read_has_a_bar_and_an_interrupt_leaves_none() {
    let place = Place::new();
    let file = large(&place);
    let begin = |args: &[&str]| {
        let shell = terminal(place.command(args), (80, 24), &[]);
        let text = shell.until("a bar", |text| text.contains("large.img") && text.contains('%'));
        assert!(text.contains("/64.0 GiB"), "{args:?}: {text}");
        shell
    };
    let end = |mut shell: Terminal| {
        shell.signal(Signal::INT);
        assert_eq!(shell.wait().code(), Some(130));
        assert!(is_clean(&shell.text()), "{}", shell.text());
    };
    end(begin(&["hash", &file]));
    // Without a running peer, and by one.
    end(begin(&["share", &file]));
    let peer = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    end(begin(&["share", &file, "--wait"]));
    end(begin(&["send", &file, "--no-qr", "--host"]));
    peer.signal(Signal::TERM);
    assert_eq!(peer.wait(), 0);
}

#[test]
fn p6_a_sender_sees_how_far_each_receiver_is() {
    let (here, there) = (Place::new(), Place::new());
    let file = here.write("x.bin", &[9; 6 << 20]);
    let send = here.command(&["send", &file, "--no-qr", "--up", "1M"]);
    let mut shell = terminal(send, (200, 24), &[]);
    let text = shell.sees("waiting for the other side");
    assert!(!has_times(&text), "{text}");
    let link = text.split('\'').find(|part| part.starts_with("shoal://")).unwrap().to_owned();
    let to = there.path("to").to_str().unwrap().to_owned();
    let get = there.command(&["get", &link, "--nick", "ada", "-o", &to, "--json"]);
    let get = Running::start(get);
    let text =
        shell.until("a bar of the receiver", |text| text.contains("ada (") && text.contains('%'));
    assert!(text.contains("/6.00 MiB") && text.contains("0 of 1 done"), "{text}");
    assert!(shell.wait().success());
    assert_eq!(get.wait(), 0);
    let text = shell.text();
    assert!(is_clean(&text) && text.contains("sent x.bin") && text.contains("to ada"), "{text}");
}
