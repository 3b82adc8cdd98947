//! Commands about invitations and members.

use common::id::PeerId;
use common::join::Secret;
use tokio::time::timeout;

use super::change::{STORED, apply};
use super::wire::{Answer, InviteRow, MemberRow};
use crate::config::Admission;
use crate::index::Index;
use crate::record::{InviteRecord, MemberRecord};
use crate::shared::Shared;

/// What an operator wants of an invitation.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) uses: Option<u32>,
    pub(super) until: Option<u64>,
    pub(super) may_share: bool,
}

/// Makes an invitation. Its secret is told here, and never again.
pub(super) async fn invite(shared: &Shared, wanted: Wanted) -> Result<Answer, String> {
    if shared.config.admission != Admission::Invited {
        let text =
            "this tracker lets others in without an invitation; start it with --admission invite";
        return Err(text.to_owned());
    }
    let secret = Secret::generate().map_err(|error| error.to_string())?;
    let Wanted { name, uses, until, may_share } = wanted;
    let now = shared.clock.wall_ms() / 1000;
    let secret = secret.expose().to_owned();
    let invite = InviteRecord { name, secret: secret.clone(), uses, until, since: now, may_share };
    let number = changed(shared, |index| index.invite(now, invite)).await?;
    let number = number.map_err(|refusal| refusal.text)?;
    tracing::info!("invitation {number} was made");
    Ok(Answer::Invited { number, secret })
}

/// Takes an invitation back.
pub(super) async fn withdraw(shared: &Shared, number: u64) -> Result<Answer, String> {
    if !changed(shared, |index| index.withdraw_invite(number)).await? {
        return Err(format!("there is no invitation {number}; `tracker invites` lists them"));
    }
    tracing::info!("invitation {number} was withdrawn");
    Ok(Answer::Done(super::Outcome { who: format!("invitation {number}"), ..Default::default() }))
}

pub(super) fn invites(shared: &Shared) -> Answer {
    let row = |(number, invite): (u64, &InviteRecord)| InviteRow {
        number,
        name: invite.name.clone(),
        uses: invite.uses,
        until: invite.until,
        may_share: invite.may_share,
    };
    let now = shared.clock.wall_ms() / 1000;
    Answer::Invites(shared.with_index(|index| index.invites(now).map(row).collect()))
}

pub(super) fn members(shared: &Shared) -> Answer {
    Answer::Members(shared.with_index(|index| {
        let row = |(key, member): (&PeerId, &MemberRecord)| MemberRow {
            key: key.to_string(),
            name: member.name.clone(),
            nick: index.nick_of(key).unwrap_or_default().to_owned(),
            since: member.since,
            may_share: member.may_share,
            here: index.is_connected(key),
        };
        index.invited().map(row).collect()
    }))
}

/// Changes something that counts once it is on the disk.
async fn changed<T>(shared: &Shared, work: impl FnOnce(&mut Index) -> T) -> Result<T, String> {
    let (value, commit) = apply(shared, work).await?;
    match timeout(STORED, commit).await {
        Ok(Ok(Ok(()))) => Ok(value),
        Ok(Ok(Err(error))) => Err(format!("done, but not stored for the next start: {error}")),
        Ok(Err(_)) | Err(_) => {
            Err("done, but not stored for the next start: the disk does not answer".to_owned())
        }
    }
}
