//! What a start does, and what front ends hear of it; room on the disk.

use engine::api::command::{Command, Reply};
use engine::api::config::{OnStart, StartError};
use engine::api::event::{Level, What};
use engine::api::library::Library;
use engine::api::snapshot::{NetState, TransferState};

use super::net::{Net, download, is, ok, share, start_again, stop, transfer, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_start_can_stay_off_until_the_user_says_so() {
    let net = Net::start().await;
    let mut config = net.config("peer");
    config.on_start = OnStart::Ask;
    let peer = engine::api::start(config.clone()).await.unwrap();
    let network = peer.snapshot().network.clone();
    assert_eq!((network.state, network.asking), (NetState::Left, true));
    ok(&peer, Command::Rejoin).await;
    until(&peer, "joined", |s| s.network.state == NetState::On && !s.network.asking).await;
    stop(peer).await;
    config.on_start = OnStart::StayOff;
    let peer = start_again(config).await;
    let network = peer.snapshot().network.clone();
    assert_eq!((network.state, network.asking), (NetState::Left, false));
    assert!(network.join.is_some(), "known all the same");
}

/// `status --wait` asked in that moment answered "no network".
#[tokio::test(flavor = "multi_thread")]
async fn who_is_about_to_host_is_on_its_way_to_a_network_until_that_fails() {
    let net = Net::start().await;
    let mut config = net.config("peer");
    (config.join, config.will_host) = (None, true);
    let tracker = config.state_dir.join("tracker");
    let peer = engine::api::start(config).await.unwrap();
    assert_eq!(peer.snapshot().network.state, NetState::Connecting);
    std::fs::write(&tracker, "a file where its folder should be").unwrap();
    assert!(peer.call(Command::Host).await.is_err());
    until(&peer, "without a network", |s| s.network.state == NetState::NoNetwork).await;
    std::fs::remove_file(&tracker).unwrap();
    assert!(matches!(peer.call(Command::Host).await, Ok(Reply::Hosting(_))));
    assert_ne!(peer.snapshot().network.state, NetState::NoNetwork);
    until(&peer, "its own network", |s| s.network.state == NetState::On).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_a_damaged_network_is_told_and_forgotten_when_another_is_joined() {
    let net = Net::start().await;
    let mut config = net.config("peer");
    (config.join, config.remember) = (None, true);
    std::fs::create_dir_all(&config.state_dir).unwrap();
    let file = config.state_dir.join("network.join");
    std::fs::write(&file, [0; 100]).unwrap();
    let peer = engine::api::start(config.clone()).await.unwrap();
    let network = peer.snapshot().network.clone();
    assert_eq!(network.state, NetState::NoNetwork);
    assert!(network.trouble.is_some_and(|why| why.contains("damaged")));
    let mut events = peer.record();
    let warned = loop {
        let event = events.recv().await.unwrap();
        if matches!(event.what, What::Failed { code: "network", .. }) {
            break event;
        }
    };
    assert_eq!(warned.level, Level::Warn);
    assert!(warned.text.contains("network.join"), "{}", warned.text);
    ok(&peer, Command::Join { join: net.join.clone() }).await;
    until(&peer, "joined", |s| s.network.state == NetState::On && s.network.trouble.is_none())
        .await;
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), net.join.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_a_peer_that_starts_finds_its_sources_though_its_tracker_knows_none() {
    let temp = tempfile::tempdir().unwrap();
    let (old, new) = (temp.path().join("old"), temp.path().join("new"));
    let net = Net::start_in(&old).await;
    let (seed, peer, id) = net.begun(&net.file("a", 8_000_000), 1 << 20).await;
    stop(peer).await;
    // The same tracker without what it knew, where the seed does not look for it.
    std::fs::create_dir(&new).unwrap();
    std::fs::copy(old.join("tracker.key"), new.join("tracker.key")).unwrap();
    let other = Net::start_in(&new).await;
    assert_eq!(other.join.tracker(), net.join.tracker());
    let mut config = net.config("peer");
    config.join = Some(other.join.clone());
    let peer = start_again(config).await;
    ok(&seed, Command::Limits { up: None, down: None }).await;
    until(&peer, "all of it", |s| {
        assert!(s.catalogue.rows.iter().all(|row| row.sources <= 1), "only itself");
        transfer(s, id).is_some_and(|t| t.state == TransferState::Sharing)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosting_again_after_joining_another_network_names_and_joins_ones_own() {
    let net = Net::start().await;
    let mut config = net.config("host");
    config.join = None;
    let host = start_again(config).await;
    let hosting = async || match host.call(Command::Host).await.unwrap() {
        Reply::Hosting(join) => join,
        other => panic!("{other:?}"),
    };
    let own = hosting().await;
    ok(&host, Command::Join { join: net.join.clone() }).await;
    assert_eq!(hosting().await, own);
    let text = own.to_string();
    until(&host, "back at home", |s| {
        s.network.state == NetState::On && s.network.join.as_deref() == Some(&text)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_an_error_or_the_next_one_is_taken_and_said() {
    let net = Net::start().await;
    let first = net.peer("first").await;
    let mut config = net.config("second");
    config.listen = first.snapshot().me.listen;
    let error = engine::api::start(config.clone()).await.unwrap_err();
    assert!(matches!(error, StartError::PortInUse { .. }));
    config.port_fallback = Some(true);
    let second = start_again(config).await;
    let listen = second.snapshot().me.listen;
    assert_ne!(listen.port(), first.snapshot().me.listen.port());
    // Said before anybody could listen, and heard all the same.
    let mut events = second.events();
    let said = std::iter::from_fn(|| events.try_recv().ok()).find(|e| e.text.contains("in use"));
    assert!(said.unwrap().text.contains(&listen.port().to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_leave_room_on_the_disk_and_go_on_when_there_is_some() {
    let net = Net::start().await;
    let seed = net.peer("seed").await;
    let id = share(&seed, &net.file("a", 300_000)).await;
    let mut config = net.config("peer");
    config.keep_free = Some(u64::MAX / 2);
    let peer = engine::api::start(config.clone()).await.unwrap();
    until(&peer, "the catalogue", |s| s.catalogue.rows.len() == 1).await;
    let mut events = peer.events();
    download(&peer, id).await;
    until(&peer, "it rests", |s| is(s, id, &TransferState::DiskFull)).await;
    let why = transfer(&peer.snapshot(), id).unwrap().plan.why.clone();
    assert!(why.contains("are to be kept"), "{why}");
    let told = std::iter::from_fn(|| events.try_recv().ok())
        .filter(|e| matches!(e.what, What::Failed { code: "disk-full", .. }))
        .count();
    assert_eq!(told, 1);
    stop(peer).await;
    let peer = start_again(config).await;
    until(&peer, "it rests still", |s| is(s, id, &TransferState::DiskFull)).await;
    ok(&peer, Command::KeepFree { bytes: Some(0) }).await;
    until(&peer, "it goes on", |s| is(s, id, &TransferState::Sharing)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_needs_any_more_leaves_the_library_at_the_end() {
    let net = Net::start().await;
    let config = net.config("peer");
    let peer = start_again(config.clone()).await;
    // Folders have manifests.
    let folder = |file: &str, size| net.file(file, size).parent().unwrap().to_owned();
    let kept_id = share(&peer, &folder("kept/a", 300_000)).await;
    let gone_id = share(&peer, &folder("gone/b", 400_000)).await;
    ok(&peer, Command::Unshare { id: gone_id }).await;
    stop(peer).await;
    let (library, _) = Library::open(&config.state_dir).unwrap();
    assert!(library.manifest(&kept_id).unwrap().is_some());
    assert!(library.manifest(&gone_id).unwrap().is_none());
}
