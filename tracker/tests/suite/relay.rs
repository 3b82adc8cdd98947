//! Two peers that meet at the tracker.

use crate::support::{Client, PATIENCE, Running, Who, address, file, id, quick};
use common::relay::Token;
use common::wire::tracker::{FileMeta, Reply, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracker::{Config, RelayLimits};

struct World {
    tracker: Running,
    file: FileMeta,
    seed: Client,
    getter: Client,
}

/// One that has a file, and one that has asked who has it.
async fn world(relay: Option<RelayLimits>) -> World {
    let tracker = Running::start(Config { relay, ..quick() }).await;
    let (mut seed, welcome) = Client::connect(&tracker.join, &Who::new(1)).await;
    assert_eq!(welcome.relays, relay.is_some());
    let file = file("a", 1);
    seed.must_register(std::slice::from_ref(&file)).await;
    let (mut getter, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    getter.locations(id(&file), 50).await;
    World { tracker, file, seed, getter }
}

impl World {
    async fn ask(&mut self) {
        let request = Request::Relay { id: id(&self.file), peer: self.seed.me };
        self.getter.send(&request).await;
    }

    /// The tokens of both ends, that of who asked first.
    async fn tokens(&mut self) -> [Token; 2] {
        self.ask().await;
        let Reply::Relay { peer: (peer, _), token: one, dials: true, .. } =
            self.getter.push().await
        else {
            panic!("no token for who asked");
        };
        assert_eq!(peer, self.seed.me);
        let Reply::Relay { peer: (peer, _), token: other, dials: false, .. } =
            self.seed.push().await
        else {
            panic!("no token for who was asked");
        };
        assert_eq!(peer, self.getter.me);
        [one, other]
    }

    async fn come(&self, token: Token) -> TcpStream {
        let mut stream = TcpStream::connect(address(&self.tracker.join)).await.unwrap();
        stream.write_all(&token.preamble()).await.unwrap();
        stream
    }
}

/// Whether it ends without a byte.
async fn is_ended(mut stream: TcpStream) -> bool {
    let mut byte = [0];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut byte)).await.expect("it stays");
    !matches!(read, Ok(1..))
}

#[tokio::test]
async fn what_one_says_the_other_hears() {
    let mut world = world(Some(RelayLimits::default())).await;
    let [one, other] = world.tokens().await;
    let (mut getter, mut seed) = (world.come(one).await, world.come(other).await);
    let said: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    for _ in 0..2 {
        getter.write_all(&said).await.unwrap();
        let mut heard = vec![0; said.len()];
        tokio::time::timeout(PATIENCE, seed.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(heard, said);
        std::mem::swap(&mut getter, &mut seed);
    }
    // One that ends is the end for both.
    drop(getter);
    assert!(is_ended(seed).await);
    world.tracker.stop().await;
}

#[tokio::test]
async fn wrong_used_and_invented_tokens_lead_nowhere() {
    let mut world = world(Some(RelayLimits::default())).await;
    let [one, other] = world.tokens().await;
    assert!(is_ended(world.come(Token::from_bytes([7; 32])).await).await, "invented");
    let first = world.come(one).await;
    assert!(is_ended(world.come(one).await).await, "used");
    let mut seed = world.come(other).await;
    seed.write_all(b"x").await.unwrap();
    let mut byte = [0];
    let mut first = first;
    tokio::time::timeout(PATIENCE, first.read_exact(&mut byte)).await.unwrap().unwrap();
    assert!(is_ended(world.come(other).await).await, "used");
    // Half a preamble takes nobody's place for longer than a hello may take.
    let mut half = TcpStream::connect(address(&world.tracker.join)).await.unwrap();
    half.write_all(&common::relay::MAGIC).await.unwrap();
    half.shutdown().await.unwrap();
    assert!(is_ended(half).await);
    world.tracker.stop().await;
}

#[tokio::test]
async fn nobody_is_relayed_who_was_not_told_of_the_source_nor_by_a_tracker_that_does_not() {
    let mut world = world(Some(RelayLimits { pairs_of_one: 1, ..RelayLimits::default() })).await;
    let (mut stranger, _) = Client::connect(&world.tracker.join, &Who::new(3)).await;
    let request = Request::Relay { id: id(&world.file), peer: world.seed.me };
    stranger.send(&request).await;
    stranger.sync().await;
    assert!(stranger.pushes.is_empty(), "it has not asked who has the file");
    // One at a time, of this source too.
    world.tokens().await;
    stranger.locations(id(&world.file), 50).await;
    stranger.send(&request).await;
    stranger.sync().await;
    assert!(stranger.pushes.is_empty(), "the source has as many as it may have");
    world.tracker.stop().await;

    let mut off = self::world(None).await;
    off.ask().await;
    off.getter.sync().await;
    assert!(off.getter.pushes.is_empty());
    off.tracker.stop().await;
}
