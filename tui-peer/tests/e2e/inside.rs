//! A5: folders are found by the files inside, where their owners let the tracker know these, with the real programs.

use serde_json::Value;

use super::harness::{Net, PATIENCE, Program};

/// A seeder of a folder that has `file` in it.
fn seeder(net: &Net, name: &str, file: &str, args: &[&str]) -> Program {
    // The same files under two names would be one folder.
    net.file(&format!("{name}/2024/{file}"), 100_000, name.len() as u64);
    net.file(&format!("{name}/notes.txt"), 10, 6);
    net.seeder(&format!("{name}.peer"), &net.path(name), args)
}

fn find(net: &Net, words: &str, args: &[&str]) -> Vec<Value> {
    let (rows, code) = net.peer("ls", &[&["ls", words], args].concat()).finish();
    assert_eq!(code, 0, "{rows:?}");
    rows
}

fn secs(time: std::time::Duration) -> String {
    time.as_secs().to_string()
}

#[test]
fn a5_in_a_network_with_a_secret_a_folder_is_found_by_its_files_also_after_the_tracker_was_killed()
{
    let mut net = Net::start_with(&["--admission", "secret", "--show-secret"]);
    let patience = secs(PATIENCE);
    let wait = ["--wait", "--timeout", &patience];
    let owner = seeder(&net, "photos", "Sunset.JPG", &[]);
    let private = seeder(&net, "private", "sunset diary.txt", &["--names-inside", "never"]);
    let rows = find(&net, "sunset 2024", &wait);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let (name, inside) = (&rows[0]["name"], &rows[0]["inside"]);
    assert_eq!((name, inside), (&"photos".into(), &serde_json::json!(["2024/Sunset.JPG"])));
    assert_eq!((&rows[0]["kind"], &rows[0]["inside_files"]), (&"folder".into(), &1.into()));
    // By its name it is found as ever, and all of the filter counts.
    assert_eq!(find(&net, "photos", &[])[0].get("inside"), None);
    assert_eq!(find(&net, "sunset !jpg", &[]), [Value::Null; 0]);
    net.kill_tracker();
    net.start_tracker();
    assert_eq!(find(&net, "sunset", &wait)[0]["inside"], *inside);
    private.stop();
    // With its folder goes what is known of the files inside.
    let folder = net.path("photos");
    let program = net.command("photos.peer", &[]).get_program().to_owned();
    let unshared = std::process::Command::new(program)
        .args(["unshare", folder.to_str().unwrap(), "--state"])
        .arg(net.path("photos.peer.state"))
        .output()
        .unwrap();
    assert!(unshared.status.success(), "{unshared:?}");
    let end = std::time::Instant::now() + PATIENCE;
    while !find(&net, "sunset", &[]).is_empty() {
        assert!(std::time::Instant::now() < end, "it is still found");
    }
    owner.stop();
}

#[test]
fn a5_in_an_open_network_only_who_says_so_is_found_by_files_inside() {
    let net = Net::start();
    let patience = secs(PATIENCE);
    let _quiet = seeder(&net, "quiet", "sunset.jpg", &[]);
    let _loud = seeder(&net, "loud", "sunset.jpg", &["--names-inside", "always"]);
    let rows = find(&net, "sunset", &["--wait", "--timeout", &patience]);
    let names: Vec<&Value> = rows.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, [&Value::from("loud")]);
}
