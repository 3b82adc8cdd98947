//! The four lists: rows, order, filter.

use std::sync::Arc;
use std::time::Duration;

use common::id::ContentId;

use crate::model::{
    Built, INLINE_ROWS, Job, List, Model, RowKey, Sort, Tab, build, place, transfer_key,
    transfers_for,
};
use crate::msg::Effect;
use crate::panes::files::state::index::subject;
use engine::api::snapshot::Transfer;

/// How long the order of a list holds still after a key was pressed.
pub(crate) const HOLD: Duration = Duration::from_millis(1500);

/// Brings all lists up to date with the snapshot.
pub(crate) fn refresh(model: &mut Model, out: &mut Vec<Effect>) {
    refresh_network(model, out, false);
    for tab in [Tab::Downloads, Tab::Shared, Tab::Peers] {
        refresh_small(model, tab);
    }
}

/// Renews the open list after its filter or order was changed by the user.
pub(crate) fn renew(model: &mut Model, out: &mut Vec<Effect>) {
    match model.at() {
        Tab::Network => refresh_network(model, out, true),
        tab => refresh_small(model, tab),
    }
}

/// Renews the list of peers: more is known of them.
pub(crate) fn renew_peers(model: &mut Model) {
    refresh_small(model, Tab::Peers);
}

/// Renews the network's files: more is known of them.
pub(crate) fn renew_network(model: &mut Model, out: &mut Vec<Effect>) {
    refresh_network(model, out, true);
}

fn refresh_network(model: &mut Model, out: &mut Vec<Effect>, asked: bool) {
    let snap = model.snap.clone();
    let sort = model.list_of(Tab::Network).sort;
    let mine: Vec<ContentId> = if sort == Sort::Mine {
        model.snap.transfers.iter().map(|t| t.id).collect()
    } else {
        Vec::new()
    };
    let same = Arc::ptr_eq(&model.catalogue, &snap.catalogue) && mine == model.mine_ids;
    if same && !asked {
        model.stale = false;
        return;
    }
    let first = model.catalogue.rows.is_empty();
    let held = model.last_key.is_some_and(|at| model.now.mono < at + HOLD);
    if held && !asked && !first {
        model.stale = true;
        return;
    }
    model.stale = false;
    model.mine_ids = mine;
    model.job.0 += 1;
    sift_inside(model);
    let list = model.list_of(Tab::Network);
    let job = Job {
        generation: model.job.0,
        catalogue: snap.catalogue.clone(),
        transfers: snap.transfers.clone(),
        filter: list.filter.clone(),
        sort,
        reverse: list.reverse,
        owners: model.owned.owners.clone(),
        inside: model.inside.found.clone(),
        unix: model.now.unix(),
        key: match &list.key {
            Some(RowKey::Content(id)) => Some(*id),
            _ => None,
        },
        cache: model.index.clone(),
    };
    if job.catalogue.rows.len() <= INLINE_ROWS {
        let built = build(&job);
        swap_in(model, &job, built);
    } else if !model.job.1 {
        model.job.1 = true;
        out.push(Effect::Index(job));
    }
}

/// Looks which folders fit the filter by the files inside.
fn sift_inside(model: &mut Model) {
    let unix = model.now.unix();
    let filter = model.list_of(Tab::Network).filter.clone();
    let Model { inside, snap, owned, .. } = model;
    inside.sift(|row, name, folded| {
        let own = snap.transfers.iter().find(|t| filter.needs_own() && t.id == row.id);
        filter.matches(&subject(row, (name, folded), own, owned.owners.as_deref(), unix))
    });
}

/// A long list is ready. If more has changed meanwhile, it is shown and the next one started.
pub(crate) fn indexed(
    model: &mut Model,
    generation: u64,
    job: &Job,
    built: Built,
    out: &mut Vec<Effect>,
) {
    model.job.1 = false;
    swap_in(model, job, built);
    if generation != model.job.0 {
        refresh_network(model, out, true);
    }
}

fn swap_in(model: &mut Model, job: &Job, built: Built) {
    let Built { rows, at, inside, cache } = built;
    model.index = cache;
    model.inside.shown = inside;
    model.catalogue = job.catalogue.clone();
    let key = model.list_of(Tab::Network).key.clone();
    let position = match key {
        Some(RowKey::Content(id)) if Some(id) == job.key => at,
        // The cursor moved while the job ran.
        Some(RowKey::Content(id)) => place(&job.catalogue, &rows, id),
        _ => None,
    };
    // Until a key is pressed the cursor has no file of its own: it stays at the top.
    let untouched = model.last_key.is_none() && model.list_of(Tab::Network).cursor == 0;
    let position = if untouched { None } else { position };
    let list = model.list_mut(Tab::Network);
    list.total = job.catalogue.rows.len();
    list.rows = rows;
    list.find_again(position);
}

fn refresh_small(model: &mut Model, tab: Tab) {
    if tab == Tab::Peers {
        return refresh_peers(model);
    }
    let snap = model.snap.clone();
    let list = model.list_of(tab);
    let (rows, total) = transfers_for(tab, &snap.transfers, &list.filter, list.sort, list.reverse);
    let position = list.key.as_ref().and_then(|key| {
        let is_it = |t: &Transfer| transfer_key(t) == *key;
        rows.iter().position(|i| snap.transfers.get(*i as usize).is_some_and(is_it))
    });
    put(model.list_mut(tab), rows, total, position);
}

fn refresh_peers(model: &mut Model) {
    let snap = model.snap.clone();
    if !model.crowd.open {
        // Nobody looks, so nobody is asked who is there; but connections are known.
        let list = model.list_mut(Tab::Peers);
        (list.total, list.rows) = (snap.peers.len(), Arc::default());
        return;
    }
    let word = model.list_of(Tab::Peers).filter.needed_peer().map(str::to_owned);
    model.crowd.gather(&snap.peers, word.as_deref());
    let (list, crowd) = (model.list_of(Tab::Peers), &model.crowd);
    let order = (list.sort, list.reverse);
    let rows = crowd.rows(&snap.peers, &list.filter, order, model.now.unix());
    let position = match &list.key {
        Some(RowKey::Peer(peer)) => crowd.find(&rows, *peer),
        _ => None,
    };
    let total = crowd.total();
    put(model.list_mut(Tab::Peers), rows, total, position);
}

fn put(list: &mut List, rows: Vec<u32>, total: usize, position: Option<usize>) {
    list.rows = rows.into();
    list.total = total;
    list.find_again(position);
}

/// Turns the order of the open tab round.
pub(crate) fn reverse(model: &mut Model, out: &mut Vec<Effect>) {
    let tab = model.tab;
    let list = model.list_mut(tab);
    list.reverse = !list.reverse;
    renew(model, out);
}
