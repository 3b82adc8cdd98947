//! Uploader-side assignment: a peer asks for any chunks, and we choose those that help the swarm most.

use common::chunk_set::ChunkSet;

use super::body::Body;
use super::link::Link;

/// The chunk that helps the swarm most among those the peer lacks: one that we sent least often, of
/// those one that few have, of those any. It counts as assigned.
pub(super) fn choose(
    body: &mut Body,
    link: &mut Link,
    except: &[u32],
    rng: &mut fastrand::Rng,
) -> Option<u32> {
    if link.has.is_all() {
        return None;
    }
    body.sent_counts();
    let chunks = body.layout.chunks();
    let assigned = link.assigned.get_or_insert_with(|| ChunkSet::empty(chunks));
    let usable = |chunk: u32| {
        body.offers(chunk)
            && !link.has.contains(chunk)
            && !assigned.contains(chunk)
            && !except.contains(&chunk)
    };
    let sent = body.sent.as_ref()?;
    let chunk = sent.pick_cheapest(usable, |chunk| body.copies(chunk), rng)?;
    assigned.insert(chunk);
    Some(chunk)
}
