//! A folder's manifest: fetched in slices from one source, served like payload.

use common::content::Kind;
use common::id::ContentId;
use common::limits::MAX_DATA_LEN;
use common::numbers::saturate;
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::conn::{Asked, Wanted};
use super::content::{Content, ManifestFetch};
use super::event::{ConnId, Output};
use super::link::Has;
use super::node::{Cx, Node};

/// Slices of a manifest asked for at once.
const MANIFEST_WINDOW: usize = 8;

impl Node {
    /// Asks one source for (more of) a folder's manifest.
    pub(super) fn fetch_manifest(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get(&id) else { return };
        let Some(descriptor) = content.descriptor.filter(|d| d.kind == Kind::Folder) else {
            return;
        };
        if content.body.is_some() || content.paused {
            return;
        }
        // Whoever has any chunk of a folder has its manifest.
        let rests = |at| self.conns.get(at).is_none_or(|conn| conn.ask_after > cx.now);
        let mut sources = content.links.iter().filter(|(at, link)| match &link.has {
            _ if rests(at) => false,
            Has::Unread { all, bitfield, runs } => *all || bitfield.is_some() || !runs.is_empty(),
            _ => true,
        });
        let source = sources.next().map(|(at, _)| *at);
        if let Some(source) = source {
            self.give_up_early_list(cx, &id);
            let Some(content) = self.contents.get_mut(&id) else { return };
            let fresh = ManifestFetch { conn: source, next: 0, slices: Vec::new(), delivered: 0 };
            content.manifest.get_or_insert(fresh);
        }
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(fetch) = content.manifest.as_mut() else { return };
        let Some(handle) = content.links.get(&fetch.conn).map(|link| link.handle) else { return };
        let Some(conn) = self.conns.get_mut(&fetch.conn) else { return };
        let size = saturate::<u32>(descriptor.size);
        while fetch.slices.len() - fetch.delivered < MANIFEST_WINDOW && fetch.next < size {
            let len = (size - fetch.next).min(saturate::<u32>(MAX_DATA_LEN));
            let (rid, off) = (conn.rid(), fetch.next);
            conn.wake(cx.now);
            conn.requests.insert(rid, Asked::Meta { id, len, got: 0 });
            cx.out.push(Output::Send {
                conn: fetch.conn,
                msg: PeerMsg::MetaReq { handle, rid, off, len },
            });
            fetch.next += len;
            fetch.slices.push((rid, false));
        }
    }

    /// A peer that was asked along with our HELLO and has not opened the folder yet keeps nobody waiting who has.
    fn give_up_early_list(&mut self, cx: &mut Cx<'_>, id: &ContentId) {
        let Some(content) = self.contents.get_mut(id) else { return };
        let Content { manifest, links, .. } = &mut **content;
        if let Some(fetch) = manifest.take_if(|fetch| !links.contains_key(&fetch.conn)) {
            for (rid, _) in fetch.slices {
                self.cancel(cx, fetch.conn, rid);
            }
        }
    }

    /// A slice of the manifest is here: hand over what is complete, in order.
    pub(super) fn manifest_slice(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        rid: u32,
        id: ContentId,
        len: u32,
    ) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let size = content.descriptor.map_or(0, |d| d.size);
        let fetch = content.manifest.as_mut().filter(|fetch| fetch.has(at, rid));
        let Some(fetch) = fetch else {
            // Asked for by a fetch that was given up.
            let wasted = u64::from(len);
            return cx.out.push(Output::Discard { conn: at, rid, wasted });
        };
        if let Some(slice) = fetch.slices.iter_mut().find(|slice| slice.0 == rid) {
            slice.1 = true;
        }
        while let Some((rid, true)) = fetch.slices.get(fetch.delivered).copied() {
            cx.out.push(Output::ManifestPart { id, conn: at, rid });
            fetch.delivered += 1;
        }
        if u64::from(fetch.next) >= size && fetch.delivered == fetch.slices.len() {
            cx.out.push(Output::ManifestFetched { id, conn: at });
        } else {
            self.fetch_manifest(cx, id);
        }
    }

    pub(super) fn manifest_rejected(&mut self, cx: &mut Cx<'_>, id: ContentId, at: ConnId) {
        if let Some(content) = self.contents.get_mut(&id) {
            content.manifest = None;
        }
        let (code, time) = (Code::BadData, self.cfg.ban_bad);
        self.ban_and_close(cx, at, code, "sent a wrong folder manifest", time);
        self.fetch_manifest(cx, id);
    }

    pub(super) fn on_meta_req(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        handle: u16,
        rid: u32,
        off: u32,
        len: u32,
    ) {
        let size = self.by_handle(at, handle).and_then(|id| {
            let content = self.contents.get(&id)?;
            content.body.as_ref()?;
            Some((id, content.descriptor?.size))
        });
        let code = match size {
            // Its bytes are payload, and wait in line with it.
            Some(_) if !self.may_answer(cx, at, 0) => Code::Rate,
            Some((id, size)) => {
                let end = u64::from(off) + u64::from(len);
                if len == 0 || len as usize > MAX_DATA_LEN || end > size {
                    return self.fault(cx, at, "asked for manifest bytes that do not exist");
                }
                return self.enqueue(cx, at, Wanted::Meta { rid, id, off, len });
            }
            None => Code::Gone,
        };
        cx.send(at, PeerMsg::Reject { rid, code });
    }
}
