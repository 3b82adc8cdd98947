//! Commands to a tracker that runs: the question, and its answer in words or in JSON.

use std::path::Path;
use std::time::SystemTime;

use anyhow::bail;
use common::names::show;
use serde_json::json;
use tracker::control::{self, Answer, Ask, BanRow, InviteRow, MemberRow, Outcome, PeerRow};
use tracker::moving::{self, Moved};

use crate::args::{Args, Command, PassphraseFrom};

/// Asks, and prints what is answered.
pub(crate) fn run(args: &Args, command: &Command) -> anyhow::Result<()> {
    let question = match command {
        Command::Join => return join(args),
        Command::Export { file, passphrase } => return export(args, file, passphrase),
        Command::Import { file, force, passphrase } => {
            return import(args, file, *force, passphrase);
        }
        Command::Ban { who, reason } => Ask::Ban { who: who.clone(), reason: reason.clone() },
        Command::Unban { who } => Ask::Unban { who: who.clone() },
        Command::Bans => Ask::Bans,
        Command::Invite { uses, until, name, read_only } => Ask::Invite {
            name: name.clone(),
            uses: Some(*uses),
            until: *until,
            may_share: !read_only,
        },
        Command::Invites { withdraw: None } => Ask::Invites,
        Command::Invites { withdraw: Some(number) } => Ask::Withdraw { number: *number },
        Command::Members => Ask::Members,
        Command::Revoke { who, reason } => Ask::Revoke { who: who.clone(), reason: reason.clone() },
        Command::Forget { who } => Ask::Forget { who: who.clone() },
        Command::Peers { most } => Ask::Peers { most: *most },
    };
    let state_dir = args.state_dir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(control::ask(&state_dir, &question))?;
    let lines = match answer {
        Answer::Refused(why) => bail!("{}", show(&why)),
        Answer::Done(outcome) if args.json => done_json(command, &outcome),
        Answer::Done(outcome) => done(command, &outcome),
        Answer::Bans(rows) if args.json => lines(&rows, ban_json),
        Answer::Bans(rows) if rows.is_empty() => "nobody is banned".to_owned(),
        Answer::Bans(rows) => lines(&rows, |row| ban(row, now())),
        Answer::Peers(rows) if args.json => lines(&rows, peer_json),
        Answer::Peers(rows) if rows.is_empty() => "no peer is known".to_owned(),
        Answer::Peers(rows) => lines(&rows, peer),
        Answer::Invited { number, secret } => invited(args, &state_dir, number, &secret)?,
        Answer::Invites(rows) if args.json => lines(&rows, invite_json),
        Answer::Invites(rows) if rows.is_empty() => "there is no invitation".to_owned(),
        Answer::Invites(rows) => lines(&rows, |row| invite(row, now())),
        Answer::Members(rows) if args.json => lines(&rows, member_json),
        Answer::Members(rows) if rows.is_empty() => "nobody was invited yet".to_owned(),
        Answer::Members(rows) => lines(&rows, member),
        Answer::Records(_) => bail!("the tracker gave another answer than was asked for"),
    };
    if !lines.is_empty() {
        crate::print(&lines)?;
    }
    Ok(())
}

/// Somebody asks for it, so all of it is printed wherever that goes.
fn join(args: &Args) -> anyhow::Result<()> {
    let join = tracker::read_join(&args.state_dir()?)?.to_string();
    let line = if args.json { json!({ "join": join }).to_string() } else { join };
    Ok(crate::print(&line)?)
}

fn export(args: &Args, file: &Path, passphrase: &PassphraseFrom) -> anyhow::Result<()> {
    let (state_dir, passphrase) = (args.state_dir()?, passphrase.get(true)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let moved = runtime.block_on(moving::export(&state_dir, file, &passphrase))?;
    let Moved { key, records, has_secret, .. } = &moved;
    let line = if args.json {
        json!({ "event": "exported", "file": file, "key": key.to_string(), "secret": has_secret, "records": records }).to_string()
    } else {
        let secret = if *has_secret { ", the secret" } else { "" };
        format!(
            "{}: the key {}{secret} and {records} records; whoever has it and the passphrase has the network",
            file.display(),
            key.short()
        )
    };
    Ok(crate::print(&line)?)
}

fn import(
    args: &Args,
    file: &Path,
    force: bool,
    passphrase: &PassphraseFrom,
) -> anyhow::Result<()> {
    let (state_dir, passphrase) = (args.state_dir()?, passphrase.get(false)?);
    let moved = moving::import(&state_dir, file, &passphrase, force)?;
    let Moved { key, has_secret, has_members, records, kept_bans, aside } = &moved;
    if args.json {
        let line = json!({
            "event": "imported", "state": state_dir, "key": key.to_string(), "secret": has_secret,
            "records": records, "kept_bans": kept_bans, "aside": aside,
        });
        return Ok(crate::print(&line.to_string())?);
    }
    let mut text =
        format!("{}: the key {} and {records} records", state_dir.display(), key.short());
    if *kept_bans > 0 {
        text.push_str(&format!("\n{kept_bans} bans that only this folder had are kept"));
    }
    for aside in aside {
        text.push_str(&format!("\nput aside: {}", aside.display()));
    }
    let admission = match (*has_secret, *has_members) {
        (true, _) => " --admission secret",
        (false, true) => " --admission invite",
        (false, false) => "",
    };
    text.push_str(&format!(
        "\nstart it as a standby with: tracker --trackers FIRST,THIS{admission} --state {}, the first one with the same --trackers",
        state_dir.display()
    ));
    Ok(crate::print(&text)?)
}

/// The whole join string of an invitation. The secret is in it, and nowhere else.
fn invited(args: &Args, state_dir: &Path, number: u64, secret: &str) -> anyhow::Result<String> {
    let join = tracker::read_join(state_dir)?.with_secret(Some(secret.parse()?)).to_string();
    Ok(if args.json {
        json!({ "event": "invited", "number": number, "join": join }).to_string()
    } else {
        join
    })
}

fn invite(row: &InviteRow, now: u64) -> String {
    let InviteRow { number, name, uses, until, may_share } = row;
    let uses = uses.map_or("any number".to_owned(), |uses| format!("{uses} left"));
    let until = until.map_or("for ever".to_owned(), |until| {
        format!("{} h more", until.saturating_sub(now).div_ceil(3600))
    });
    format!("{number}  {uses}  {until}  {}  {}", right(*may_share), show(name))
        .trim_end()
        .to_owned()
}

fn invite_json(row: &InviteRow) -> String {
    let InviteRow { number, name, uses, until, may_share } = row;
    json!({ "event": "invite", "number": number, "name": name, "uses": uses, "until": until, "may_share": may_share })
        .to_string()
}

fn member(row: &MemberRow) -> String {
    let MemberRow { key, name, nick, may_share, here, .. } = row;
    let here = if *here { "connected" } else { "away" };
    let nick = if nick.is_empty() { "?".to_owned() } else { show(nick) };
    format!("{key}  {here}  {}  {nick}  {}", right(*may_share), show(name)).trim_end().to_owned()
}

fn member_json(row: &MemberRow) -> String {
    let MemberRow { key, name, nick, since, may_share, here } = row;
    json!({ "event": "member", "key": key, "name": name, "nick": nick, "since": since, "may_share": may_share, "connected": here })
        .to_string()
}

fn right(may_share: bool) -> &'static str {
    if may_share { "shares" } else { "reads" }
}

fn lines<T>(rows: &[T], line: impl Fn(&T) -> String) -> String {
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn done(command: &Command, outcome: &Outcome) -> String {
    let Outcome { who, closed, peers, items, unsaved } = outcome;
    let forgotten =
        format!("{peers} peers and {items} items forgotten, {closed} connections closed");
    let mut text = match command {
        Command::Unban { .. } => format!("{who} may join again"),
        Command::Invites { .. } => format!("{who} is withdrawn"),
        Command::Revoke { .. } => {
            format!("{who} is a member no longer, peers are told: {forgotten}")
        }
        Command::Forget { .. } if *closed > 0 => format!(
            "{who}: {forgotten}; who was connected comes back and registers again, unless banned"
        ),
        Command::Forget { .. } => format!("{who}: {forgotten}"),
        _ => format!("{who} is banned: {forgotten}"),
    };
    if let Some(why) = unsaved {
        text.push_str(&format!("\nin force, but not stored for the next start: {}", show(why)));
    }
    text
}

fn done_json(command: &Command, outcome: &Outcome) -> String {
    let event = match command {
        Command::Unban { .. } => "unbanned",
        Command::Invites { .. } => "withdrawn",
        Command::Revoke { .. } => "revoked",
        Command::Forget { .. } => "forgotten",
        _ => "banned",
    };
    let Outcome { who, closed, peers, items, unsaved } = outcome;
    json!({ "event": event, "who": who, "closed": closed, "peers": peers, "items": items, "unsaved": unsaved })
        .to_string()
}

fn ban(row: &BanRow, now: u64) -> String {
    let BanRow { who, reason, since, revoked } = row;
    let revoked = if *revoked { "revoked  " } else { "" };
    let ago = now.saturating_sub(*since);
    let ago = match ago {
        0..3600 => format!("{} min ago", ago / 60),
        3600..172_800 => format!("{} h ago", ago / 3600),
        _ => format!("{} days ago", ago / 86_400),
    };
    format!("{who}  {ago}  {revoked}{}", show(reason)).trim_end().to_owned()
}

fn ban_json(row: &BanRow) -> String {
    json!({ "event": "ban", "who": row.who, "reason": row.reason, "since": row.since, "revoked": row.revoked }).to_string()
}

fn peer(row: &PeerRow) -> String {
    let PeerRow { key, nick, address, here, items, bytes } = row;
    let here = if *here { "connected" } else { "away" };
    let address = if address.is_empty() { "?" } else { address };
    format!("{key}  {address}  {here}  {items} items  {} KiB  {}", bytes / 1024, show(nick))
        .trim_end()
        .to_owned()
}

fn peer_json(row: &PeerRow) -> String {
    let PeerRow { key, nick, address, here, items, bytes } = row;
    json!({ "event": "peer", "key": key, "nick": nick, "address": address, "connected": here, "items": items, "bytes": bytes })
        .to_string()
}

fn now() -> u64 {
    common::clock::unix_secs(SystemTime::now())
}
