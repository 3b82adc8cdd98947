//! Chunks written past the system's cache.

use super::super::part_file::write_mode::WriteModes;
use super::*;

/// A chunk as it arrives: in buffers of the pool, cut into frames.
fn bufs(content: &Content, pool: &BufPool, chunk: u32, frame: usize) -> Vec<Buf> {
    let frames = content.chunk(chunk).chunks(frame).map(|bytes| {
        let mut buf = pool.get_now(bytes.len()).unwrap();
        buf.copy_from_slice(bytes);
        buf
    });
    frames.collect()
}

#[test]
fn chunks_written_past_the_cache_are_all_there() {
    let temp = tempfile::tempdir().unwrap();
    let pool = BufPool::new(1 << 20);
    // The last chunk ends within a page.
    for content in
        [Content::file(1_000_001), Content::folder(&[("a", 300_000), ("b/c", 5), ("b/d", 65_536)])]
    {
        let dir = temp.path().join(content.descriptor.id().short());
        let Going { partial, .. } = content.open(&dir);
        *partial.modes.lock().unwrap() = WriteModes::eager();
        for chunk in 0..content.layout.chunks() {
            // Whole, in pages, in frames that no page fits into; and some through the cache.
            let frame = [1 << 20, 4096, 5000][chunk as usize % 3];
            let bufs = bufs(&content, &pool, chunk, frame);
            let spans: Vec<&[u8]> = bufs.iter().map(|buf| &**buf).collect();
            partial.write_chunk(chunk, &spans, chunk % 7 == 6).unwrap();
            let mut read = vec![0; content.chunk(chunk).len()];
            partial.read(chunk, 0, &mut read).unwrap();
            assert!(read == content.chunk(chunk), "chunk {chunk}");
        }
        // Unless the file system of the temporary folder cannot do it.
        let direct = partial.modes.lock().unwrap().direct_writes();
        assert!(direct.is_none_or(|direct| direct > 0));
        assert_eq!(partial.sync().unwrap().count(), content.layout.chunks());
        let done = partial.finish(&content.plan()).unwrap();
        let file = if content.rel.is_some() { done.join("a") } else { done };
        assert!(fs::read(file).unwrap() == content.files[0]);
    }
}

#[test]
fn a_chunk_written_again_past_the_cache_replaces_what_was_cached() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(200_000);
    let Going { partial, .. } = content.open(temp.path());
    *partial.modes.lock().unwrap() = WriteModes::eager();
    let pool = BufPool::new(1 << 20);
    let len = content.chunk(0).len();
    let mut read = vec![0; len];
    for (byte, read_soon) in [(1, true), (2, false), (3, true), (4, false)] {
        let mut buf = pool.get_now(len).unwrap();
        buf.fill(byte);
        partial.write_chunk(0, &[&buf], read_soon).unwrap();
        partial.read(0, 0, &mut read).unwrap();
        assert!(read.iter().all(|b| *b == byte), "after {byte}");
    }
}
