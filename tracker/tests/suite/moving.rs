//! `tracker export` and `tracker import`: what a standby, or a tracker that moves, is given.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use common::content::{Descriptor, Kind};
use common::hash::sha256_concat;
use common::id::PeerId;
use common::identity::Identity;
use common::join::JoinString;
use common::net::AddrGroup;
use tracker::moving::{MoveError, Passphrase, export, import};
use tracker::record::{
    BanRecord, Change, FileRecord, InviteRecord, MemberRecord, PeerRecord, Saved, Target,
};
use tracker::store::{MetaStore as _, RedbStore, StoreError};

use crate::program::{Program, tracker};
use crate::support::{Client, Who, file, identity};

const PASSPHRASE: &str = "correct horse battery";

fn passphrase(text: &str) -> Passphrase {
    text.parse().unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn ban(n: u8) -> (Target, BanRecord) {
    let target = match n % 3 {
        0 => Target::Key(PeerId::from_bytes([n; 32])),
        1 => Target::Address(AddrGroup::of(IpAddr::from([192, 0, 2, n]))),
        _ => Target::Address(AddrGroup::of(IpAddr::from([0x2001, 0xdb8, 0, n.into(), 0, 0, 0, 1]))),
    };
    (target, BanRecord { reason: "spam 日本".to_owned(), since: n.into(), revoked: false })
}

/// Some of each kind of record.
fn saved(count: u8) -> Saved {
    let mut saved = Saved::default();
    for n in 0..count {
        let root = sha256_concat(&[&[n]]);
        let descriptor = Descriptor { kind: Kind::File, size: n.into(), root };
        let group = (n % 2 == 0).then(|| AddrGroup::of(IpAddr::from([192, 0, 2, n])));
        let record = FileRecord {
            descriptor,
            name: format!("naïve {n}"),
            total: n.into(),
            chunks: 1,
            first_seen: n.into(),
            only: group,
            origin: None,
        };
        let peer = PeerId::from_bytes([n; 32]);
        saved.files.push((descriptor.id(), record));
        saved.peers.push((peer, PeerRecord { nick: format!("p{n}"), last_seen: 7, group }));
        saved.shares.push((peer, descriptor.id(), "日本".into()));
        saved.bans.push(ban(n));
        let member = MemberRecord { name: format!("m{n}"), since: 5, may_share: n % 2 == 0 };
        saved.members.push((peer, member));
        let (name, secret) = (String::new(), "0123456789abcdef".to_owned());
        let invite = InviteRecord {
            name,
            secret,
            uses: Some(n.into()),
            until: None,
            since: 6,
            may_share: true,
        };
        saved.invites.push((n.into(), invite));
    }
    sorted(saved)
}

fn sorted(mut saved: Saved) -> Saved {
    saved.files.sort_by_key(|(id, _)| *id.as_bytes());
    saved.peers.sort_by_key(|(id, _)| *id.as_bytes());
    saved.shares.sort_by_key(|(peer, id, _)| (*peer.as_bytes(), *id.as_bytes()));
    saved.members.sort_by_key(|(id, _)| *id.as_bytes());
    saved.invites.sort_by_key(|(number, _)| *number);
    saved.bans.sort_by_key(|(target, _)| target.to_bytes());
    saved
}

/// A state folder as a tracker leaves it.
fn folder(dir: &Path, saved: Saved) -> PeerId {
    let key = Identity::load_or_create(&dir.join("tracker.key")).unwrap();
    let mut store = RedbStore::open(&dir.join("tracker.redb")).unwrap();
    store.apply(&saved.into_changes()).unwrap();
    key.peer_id()
}

fn stored(dir: &Path) -> Saved {
    sorted(RedbStore::open(&dir.join("tracker.redb")).unwrap().load().unwrap())
}

#[tokio::test]
async fn b2_no_tracker_starts_on_an_import_that_was_cut_short_and_another_import_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let [from, to, file] = ["from", "to", "file"].map(|name| dir.path().join(name));
    let with = passphrase(PASSPHRASE);
    let key = folder(&from, saved(3));
    export(&from, &file, &with).await.unwrap();
    folder(&to, saved(1));
    // As it is left when the program is killed before the key of the file is in its place.
    std::fs::write(to.join("import.unfinished"), "").unwrap();
    std::fs::rename(to.join("tracker.key"), to.join("tracker.key.replaced-1")).unwrap();
    let config = tracker::Config { state_dir: Some(to.clone()), ..tracker::Config::default() };
    let refused = tracker::Tracker::open(config.clone()).unwrap_err();
    assert!(refused.to_string().contains("tracker import FILE --force"), "{refused}");
    assert_eq!(refused.exit_code(), 74);
    assert!(!to.join("tracker.key").exists(), "no new key over foreign records");
    let refused = export(&to, &dir.path().join("other"), &with).await.unwrap_err();
    assert!(refused.to_string().contains("not finished"), "{refused}");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&to, Some(12_345), Some(12_345)).unwrap();
    }
    let moved = import(&to, &file, &with, false).unwrap();
    assert_eq!(moved.key, key);
    let uid = |path: &Path| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap());
    for name in ["tracker.key", "tracker.redb"] {
        assert_eq!(uid(&to.join(name)), uid(&to), "{name}: a service reads what root imported");
    }
    assert_eq!(tracker::Tracker::open(config).unwrap().peer_id(), key);
}

#[tokio::test]
async fn b2_the_secret_that_is_in_force_is_exported_wherever_it_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let with = passphrase(PASSPHRASE);
    for (n, (kept, in_force, wanted)) in [
        // From a file elsewhere, or of a peer that hosts: none is kept in the folder.
        (None, Some("horse battery staple"), Some("horse battery staple")),
        (Some("of an earlier start"), Some("horse battery staple"), Some("horse battery staple")),
        // The network was opened since.
        (Some("of an earlier start"), None, None),
    ]
    .into_iter()
    .enumerate()
    {
        let [from, to, file] =
            ["from", "to", "file"].map(|name| dir.path().join(format!("{name}{n}")));
        let key = folder(&from, Saved::default());
        if let Some(kept) = kept {
            std::fs::write(from.join("network.secret"), kept).unwrap();
        }
        let secret = in_force.map(|text| text.parse().unwrap());
        let join = JoinString::new(key, "tracker.lab", 7420, secret).unwrap();
        tracker::keep_join(&from, &join).unwrap();
        export(&from, &file, &with).await.unwrap();
        let moved = import(&to, &file, &with, false).unwrap();
        assert_eq!(moved.has_secret, wanted.is_some());
        let brought = std::fs::read_to_string(to.join("network.secret")).ok();
        assert_eq!(brought.as_deref().map(str::trim), wanted);
    }
}

#[tokio::test]
async fn b2_a_folder_holds_after_an_import_what_was_exported() {
    let dir = tempfile::tempdir().unwrap();
    let [from, to, file] = ["from", "to/deep", "file"].map(|name| dir.path().join(name));
    let key = folder(&from, saved(40));
    std::fs::write(from.join("network.secret"), "a secret of the network\n").unwrap();
    let with = passphrase(PASSPHRASE);
    let moved = export(&from, &file, &with).await.unwrap();
    assert_eq!((moved.key, moved.has_secret, moved.records), (key, true, 240));
    assert_eq!(mode(&file), 0o600);
    let again = export(&from, &file, &with).await.unwrap_err();
    assert!(matches!(again, MoveError::Exists(_)), "{again}");

    let moved = import(&to, &file, &with, false).unwrap();
    assert_eq!((moved.key, moved.records, moved.kept_bans), (key, 240, 0));
    assert_eq!(stored(&to), saved(40));
    for name in ["tracker.key", "network.secret"] {
        assert_eq!(std::fs::read(to.join(name)).unwrap(), std::fs::read(from.join(name)).unwrap());
        assert_eq!(mode(&to.join(name)), 0o600, "{name}");
    }
    // Once more, over what happened there since: only its bans stay.
    let mut store = RedbStore::open(&to.join("tracker.redb")).unwrap();
    let (target, record) = ban(200);
    let gone = saved(1).files[0].0;
    store.apply(&[Change::Ban(target, record.clone()), Change::FileGone(gone)]).unwrap();
    drop(store);
    let moved = import(&to, &file, &with, false).unwrap();
    assert_eq!(moved.kept_bans, 1);
    let mut wanted = saved(40);
    wanted.bans.push((target, record));
    assert_eq!(stored(&to), sorted(wanted));
    let left: Vec<_> = std::fs::read_dir(&to).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[tokio::test]
async fn b2_what_stands_in_the_way_is_said_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let [from, other, file] = ["from", "other", "file"].map(|name| dir.path().join(name));
    let theirs = folder(&from, saved(3));
    let here = folder(&other, saved(9));
    let with = passphrase(PASSPHRASE);
    let nowhere = export(&dir.path().join("empty"), &file, &with).await.unwrap_err();
    assert!(matches!(nowhere, MoveError::NoTracker(_)) && !file.exists(), "{nowhere}");
    export(&from, &file, &with).await.unwrap();

    let wrong = import(&other, &file, &passphrase("another passphrase"), true).unwrap_err();
    assert!(matches!(wrong, MoveError::WrongPassphrase), "{wrong}");
    let damaged = dir.path().join("damaged");
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&damaged, &bytes).unwrap();
    let error = import(&other, &damaged, &with, true).unwrap_err();
    assert!(matches!(error, MoveError::Damaged), "{error}");
    let error = import(&other, &file, &with, false).unwrap_err();
    assert!(matches!(error, MoveError::OtherKey { .. }), "{error}");
    assert!(error.to_string().contains("--force") && error.to_string().contains(&theirs.short()));
    let running = RedbStore::open(&other.join("tracker.redb")).unwrap();
    let error = import(&other, &file, &with, true).unwrap_err();
    assert!(matches!(error, MoveError::Store(StoreError::Locked { .. })), "{error}");
    drop(running);
    assert_eq!(stored(&other), saved(9), "as it was");
    assert_eq!(Identity::load_or_create(&other.join("tracker.key")).unwrap().peer_id(), here);

    let moved = import(&other, &file, &with, true).unwrap();
    assert_eq!((moved.key, moved.aside.len()), (theirs, 2));
    assert_eq!(stored(&other), saved(3));
    let old = Identity::load_or_create(&other.join("tracker.key.replaced-1")).unwrap();
    assert_eq!(old.peer_id(), here, "nothing is lost");
    assert!(other.join("tracker.redb.replaced-1").exists());
}

fn say(state: &Path, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = tracker(state, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[tokio::test]
async fn b2_a_standby_made_from_a_running_tracker_knows_its_peers() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, moved, secret] =
        ["first", "second", "moved", "passphrase"].map(|name| dir.path().join(name));
    let listen = ["--listen", "127.0.0.1:0", "--admission", "secret", "--show-secret"];
    let join = |program: &mut Program| -> JoinString {
        program.line().trim().strip_prefix("join ").unwrap().parse().unwrap()
    };
    let mut running = Program::start(tracker(&first, &listen));
    let at_first = join(&mut running);
    let files = [file("one", 100_000), file("two", 5)];
    let who = Who { secret: at_first.secret().cloned(), ..Who::new(1) };
    let (mut peer, _) = Client::connect(&at_first, &who).await;
    peer.must_register(&files).await;
    let banned = identity(9).peer_id().to_string();
    assert_eq!(say(&first, &["ban", &banned, "--reason", "spam"]).0, 0);

    std::fs::write(&secret, format!("{PASSPHRASE}\n")).unwrap();
    let [file, from] = [&moved, &secret].map(|path| path.to_str().unwrap());
    let export = ["export", file, "--passphrase-file", from];
    let (code, _, said) = say(&first, &export);
    assert!(code != 0 && said.contains("others can read it"), "{said}");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (code, said, err) = say(&first, &export);
    assert_eq!(code, 0, "{err}");
    // A peer, two contents, two shares, a ban.
    assert!(said.contains("the secret and 6 records"), "{said}");
    assert!(!said.contains(at_first.secret().unwrap().expose()) && !said.contains("horse"));

    let import = ["import", file, "--passphrase-file", from];
    let (code, said, err) = say(&first, &import);
    assert!(code == 75 && err.contains("stop it"), "{code} {said} {err}");
    let (code, said, err) = say(&second, &import);
    assert!(code == 0 && said.contains("--trackers FIRST,THIS --admission secret"), "{said} {err}");
    let mut standby = Program::start(tracker(&second, &listen));
    let at_second = join(&mut standby);
    assert_eq!((at_second.tracker(), at_second.secret()), (at_first.tracker(), at_first.secret()));
    let who = Who { secret: at_first.secret().cloned(), ..Who::sharing(1, &files) };
    let (_peer, welcome) = Client::connect(&at_second, &who).await;
    assert!(welcome.share_ok, "it need not say again what it shares");
    assert!(say(&second, &["bans"]).1.contains(&banned));
}
