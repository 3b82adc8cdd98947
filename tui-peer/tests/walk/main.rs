//! The real app on a real terminal among real peers: what a user does on an ordinary day.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "tests"
)]

#[path = "../e2e/harness.rs"]
#[allow(dead_code)]
mod harness;
mod terminal;

use std::process::Command;

use harness::{Net, same};
use rustix::process::Signal;
use terminal::Terminal;

const MIB: usize = 1 << 20;

/// The app of a peer called `name`, with nothing of this machine's environment in its look.
fn app(net: &Net, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tui-peer"));
    command.env_clear().env("HOME", net.temp.path()).env("SHOAL_TRACKER", &net.join);
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env("PATH", "/usr/bin:/bin");
    command.args(args).args(["--listen", "127.0.0.1:0", "--nick", name]);
    command.arg("--state").arg(net.path(&format!("{name}.state")));
    command.arg("--downloads").arg(net.path(&format!("{name}.d")));
    command
}

#[test]
fn an_ordinary_day() {
    let net = Net::start();
    let big = net.file("holiday.tar", 48 * MIB, 1);
    let own = net.file("mine/poem.txt", 3000, 2);
    let first = net.seeder("s1", &big, &["--up", "6M"]);
    let _second = net.seeder("s2", &big, &["--up", "6M"]);

    let mut me = Terminal::start(app(&net, "ada", &[]), 120, 40);
    me.sees("holiday.tar");
    // Share: the others see it.
    me.keys("s");
    me.sees("Share");
    me.keys(&format!("{}\r", own.display()));
    me.sees("poem.txt");
    let listed = net.peer("other", &["get", "poem.txt"]);
    assert_eq!(listed.finish().1, 0);
    same(&own, &net.downloaded("other", "poem.txt"));

    // Download: the map fills.
    me.keys("gn");
    me.keys("/holi\r");
    me.until("the download's row", |text| text.contains("holiday.tar"));
    me.keys("d");
    me.until("progress", |text| percent(text, "holiday.tar").is_some_and(|p| p >= 10));
    me.until("blue cells", |text| text.contains('█'));
    // A source dies: it goes on with the other.
    first.kill();
    let at = percent(&me.text(), "holiday.tar").unwrap_or(10);
    me.until("progress from the other", |text| {
        percent(text, "holiday.tar").is_some_and(|p| p > at + 5)
    });
    // Pause, resume.
    me.keys("p");
    me.sees("‖ holiday.tar");
    me.keys("p");
    me.until("the end", |text| percent(text, "holiday.tar") == Some(100));
    same(&big, &net.downloaded("ada", "holiday.tar"));

    // Leave, come back.
    me.keys("L");
    me.until("a question or the state", |text| text.contains("Leave") || text.contains("you left"));
    // The third button.
    me.keys("\t\t\r");
    me.sees("you left");
    me.keys("J");
    me.until("the network again", |text| !text.contains("you left"));
    me.keys("\x03\x03");
    assert!(me.wait().success());
    restored(&me);
}

#[test]
fn c4_members_are_listed_in_the_app_and_what_one_shares_is_a_key_away() {
    let net = Net::start();
    let (hers, his) = (net.file("hers.tar", MIB, 1), net.file("his.tar", MIB, 2));
    let _bea = net.seeder("bea", &hers, &[]);
    let _cid = net.seeder("cid", &his, &[]);
    let mut me = Terminal::start(app(&net, "ada", &[]), 120, 40);
    me.until("both files", |text| text.contains("hers.tar") && text.contains("his.tar"));
    // We are connected to nobody: the tracker says who is there.
    me.keys("gp");
    me.until("the members", |text| text.contains("[Peers 3]") && text.contains("this peer"));
    me.keys("/bea\r");
    me.until("one of them", |text| text.contains("bea (") && !text.contains("cid ("));
    me.keys("\r");
    me.until("her files", |text| {
        text.contains("peer:") && text.contains("hers.tar") && !text.contains("his.tar")
    });
    // By name, as it is typed.
    me.keys("\x1b");
    me.sees("his.tar");
    me.keys("/peer:ci");
    me.until("his files", |text| text.contains("his.tar") && !text.contains("hers.tar"));
    me.keys("\x1b");
    me.keys("\x03\x03");
    assert!(me.wait().success());
    restored(&me);
}

#[test]
fn a_window_dragged_about_loses_nothing() {
    let net = Net::start();
    let big = net.file("holiday.tar", 2 * MIB, 1);
    let _seeder = net.seeder("s1", &big, &[]);
    let mut me = Terminal::start(app(&net, "ada", &[]), 80, 24);
    me.sees("holiday.tar");
    let mut rng = fastrand::Rng::with_seed(9);
    for _ in 0..150 {
        me.resize(rng.u16(1..260), rng.u16(1..90));
        me.keys(["j", "k", "2", "1", "z", "z", "\t"][rng.usize(..7)]);
    }
    me.keys("\x1b");
    me.resize(100, 30);
    me.keys("1");
    me.until("a whole screen", |text| text.contains("holiday.tar") && text.contains("help"));
    me.signal(Signal::TERM);
    assert_eq!(me.wait().code(), Some(143));
    restored(&me);
}

#[test]
fn poor_terminals_get_what_they_can_show() {
    let net = Net::start();
    let big = net.file("holiday.tar", 2 * MIB, 1);
    let _seeder = net.seeder("s1", &big, &[]);
    for (name, set) in [
        ("console", &[("TERM", "linux")][..]),
        ("c", &[("LANG", "C")]),
        ("plainest", &[("LANG", "C"), ("NO_COLOR", "1"), ("TERM", "vt100")]),
    ] {
        let mut command = app(&net, name, &[]);
        command.envs(set.iter().copied());
        let mut me = Terminal::start(command, 80, 24);
        let text =
            me.until("the list", |text| text.contains("holiday.tar") && text.contains("help"));
        if set[0].0 == "LANG" {
            assert!(text.is_ascii(), "{name}: {text}");
        }
        if set.contains(&("NO_COLOR", "1")) {
            let seen = me.seen();
            let screen = seen.screen.screen();
            for y in 0..24 {
                for x in 0..80 {
                    let cell = screen.cell(y, x).unwrap();
                    assert_eq!(cell.fgcolor(), vt100::Color::Default, "{y},{x}");
                    assert_eq!(cell.bgcolor(), vt100::Color::Default, "{y},{x}");
                }
            }
        }
        me.keys("\x03\x03");
        assert!(me.wait().success());
        restored(&me);
    }
}

/// The number before `%` in the row of `name`.
fn percent(screen: &str, name: &str) -> Option<u32> {
    let row = screen.lines().find(|line| line.contains(name) && line.contains('%'))?;
    let before = row.get(row.find(name)?..)?.split('%').next()?;
    let number = before.rsplit([' ', '│', '┃']).next()?;
    // 99.9 is not 100.
    number.split('.').next()?.parse().ok()
}

/// The shell gets back the terminal it lent.
fn restored(terminal: &Terminal) {
    let seen = terminal.seen();
    let screen = seen.screen.screen();
    assert!(!screen.alternate_screen(), "the alternate screen stayed");
    assert!(!screen.hide_cursor(), "the cursor stayed hidden");
    assert!(!screen.bracketed_paste(), "bracketed paste stayed on");
    assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
}

#[test]
fn a_changed_setting_is_in_the_file_and_there_at_the_next_start() {
    const F2: &str = "\x1bOQ";
    let net = Net::start();
    let file = net.temp.path().join(".config/shoal/config.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "# mine\nnick = \"ada\" # short\n").unwrap();
    let mut me = Terminal::start(app(&net, "ada", &[]), 80, 24);
    me.sees("1 Files");
    me.keys(F2);
    me.sees("Download folder");
    // Its own name is fixed by an option of this run.
    me.keys("/name\r");
    me.sees("[flag]");
    me.keys("/units\r\r");
    me.sees("(•) MB/s");
    me.sees("Saved.");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, "# mine\nnick = \"ada\" # short\n\n[look]\nunits = \"si\"\n");
    me.keys("\x03\x03");
    me.keys("\x03\x03");
    assert!(me.wait().success());

    let mut again = Terminal::start(app(&net, "ada", &[]), 80, 24);
    again.sees("1 Files");
    again.keys(F2);
    again.sees("Download folder");
    again.keys("/units\r");
    again.sees("(•) MB/s");
    again.keys("\x1b");
    again.keys("\x03\x03");
    assert!(again.wait().success());
}
