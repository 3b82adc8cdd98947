//! A tracker whose clock is set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::set_by;
use crate::support::{Client, Running, Who, quick};
use common::membership::{Membership, MembershipError};
use common::wire::tracker::{Reply, Welcome};
use tracker::Config;

fn holds(welcome: &Welcome, tracker: &Running, client: &Client) -> Result<(), MembershipError> {
    let now = welcome.now_ms / 1000;
    Membership::check(&welcome.membership, &tracker.join.tracker(), &client.me, now, 0).map(drop)
}

#[tokio::test]
async fn f4_everybody_is_welcomed_again_when_the_clock_is_set() {
    let ahead = Arc::new(AtomicI64::new(0));
    let tracker = Running::start(Config { wall: set_by(&ahead), ..quick() }).await;
    let mut clients = Vec::new();
    for n in 1..=3 {
        let (client, welcome) = Client::connect(&tracker.join, &Who::new(n)).await;
        assert_eq!(holds(&welcome, &tracker, &client), Ok(()));
        clients.push((client, welcome));
    }
    ahead.store(40 * 86_400, Ordering::Relaxed);
    for (client, before) in &mut clients {
        let Reply::Welcome(after) = client.receive().await else { panic!("no welcome") };
        let days = (after.now_ms - before.now_ms) / 86_400_000;
        assert_eq!((days, after.epoch, after.share_ok), (40, before.epoch, true));
        assert_eq!(holds(&after, &tracker, client), Ok(()));
        client.sync().await;
        assert!(client.pushes.is_empty(), "once is enough");
    }
    let (client, welcome) = Client::connect(&tracker.join, &Who::new(4)).await;
    assert_eq!(holds(&welcome, &tracker, &client), Ok(()));
    tracker.stop().await;
}
