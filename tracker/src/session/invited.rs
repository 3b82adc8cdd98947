//! Networks by invitation: who is let in by what it shows.

use std::net::IpAddr;
use std::time::Duration;

use common::id::PeerId;
use common::join::Secret;
use common::wire::tracker::Hello;
use tokio::time::timeout;

use super::handshake::PROOF_ROLE;
use super::requests::DISK_RETRY_MS;
use crate::index::{Refusal, no_such_invitation, not_invited};
use crate::shared::Shared;
use crate::store::StoreError;

/// For a new member to be on the disk: half of the 10 s after which peers give up.
const STORED: Duration = Duration::from_secs(5);

/// Where only members may join: lets in who is one, and who shows an invitation; that one is a member on the disk before it
/// is welcomed, so that no crash gives an invitation back.
pub(super) async fn check(
    shared: &Shared,
    (peer, from): (PeerId, IpAddr),
    hello: &Hello,
    exporter: &[u8; 32],
) -> Result<(), Refusal> {
    if shared.with_index(|index| index.is_invited(&peer)) {
        return Ok(());
    }
    let proof = hello.proof.as_ref().ok_or_else(not_invited)?;
    let now = shared.clock.wall_ms() / 1000;
    let all: Vec<(u64, String)> = shared.with_index(|index| {
        index.invites(now).map(|(number, invite)| (number, invite.secret.clone())).collect()
    });
    // Up to a thousand, at a microsecond each; without the index.
    let knows = |secret: &str| {
        let secret: Option<Secret> = secret.parse().ok();
        secret.is_some_and(|secret| secret.verify(PROOF_ROLE, exporter, proof.as_bytes()))
    };
    let found = all.iter().find(|(_, secret)| knows(secret));
    let (number, _) = found.ok_or_else(no_such_invitation)?;
    let unsaved = |why: String| Refusal::later(why, DISK_RETRY_MS);
    let stored = async {
        let used = shared.apply(|index| index.use_invite(now, *number, (peer, from))).await;
        let (used, commit) = used.map_err(|error| unsaved(error.to_string()))?;
        used?;
        let stored = commit.await.unwrap_or(Err(StoreError::Closed));
        stored.map_err(|error| unsaved(error.to_string()))
    };
    let late = |_| unsaved("the tracker's disk does not answer".to_owned());
    timeout(STORED, stored).await.map_err(late)?
}
