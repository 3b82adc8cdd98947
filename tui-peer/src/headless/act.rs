//! Has the running peer do something: `pause`, `limit`, `ban` and the rest of [`frontend::act`].

use std::time::Instant;

use serde_json::json;

use super::output::Output;
use super::signals::Signals;
use super::together;
use super::wait::Ended;
use crate::args::exit;
use crate::control::Attached;
use engine::api::snapshot::BanRow;
use frontend::act::{Refused, Request, plan};

/// Does it for every target, with one answer each; returns the exit code. Whoever looks afterwards sees it: a
/// client of the control socket is shown all that happened before it came.
pub async fn act(peer: Attached, request: &Request, out: &mut Output) -> u8 {
    let snapshot = peer.engine.snapshot();
    if matches!(request, Request::Unban(what) if what.is_empty()) {
        return bans(&snapshot.bans, out);
    }
    let steps = plan(request, &snapshot, &|_| None);
    let (all, mut failed) = (steps.len(), Vec::new());
    if all == 0 {
        out.note("nothing here for which that makes sense");
    }
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    for step in steps {
        let step = match step {
            Ok(step) => step,
            Err(refused) => {
                failed.push(refused.exit);
                out.refused(&refused);
                continue;
            }
        };
        let answer = tokio::select! {
            answer = peer.engine.call(step.command.clone()) => answer,
            code = signals.stop(&peer.engine) => {
                let (why, code) = Ended::Signal(code).words();
                out.error("wait", &format!("{why}: {}", step.said), "it may be done all the same: tui-peer status");
                return code;
            }
        };
        match answer {
            Ok(_) => {
                out.json(&step.object());
                out.line(&step.said);
            }
            Err(error) => {
                let refused = Refused::engine(error, step.about);
                failed.push(refused.exit);
                out.refused(&refused);
            }
        }
    }
    together(&failed, all)
}

/// Prints who is banned; returns the exit code.
fn bans(bans: &[BanRow], out: &mut Output) -> u8 {
    let now = Instant::now();
    for ban in bans {
        let left = ban.until.map(|until| until.saturating_duration_since(now).as_secs());
        out.json(&json!({
            "event": "ban", "peer": ban.peer.to_string(), "nick": ban.nick, "why": ban.why,
            "left_s": left, "by_user": ban.by_user,
        }));
        let how_long = left.map_or_else(
            || "for ever".to_owned(),
            |left| format!("{} min more", left.div_ceil(60)),
        );
        let nick = if ban.nick.is_empty() { "-" } else { &ban.nick };
        out.line(&format!("{}  {nick:<16} {how_long:<12} {}", ban.peer.short(), ban.why));
    }
    if bans.is_empty() {
        out.note("nobody is banned");
    }
    exit::OK
}
