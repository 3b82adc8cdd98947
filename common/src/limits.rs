//! Every bound of the protocol, each with its reason. A number that limits what strangers can make
//! us do belongs here and nowhere else.

/// Version of the wire protocol spoken by this build.
pub const PROTOCOL_VERSION: u8 = 1;
/// Oldest version this build still understands.
pub const PROTOCOL_MIN: u8 = 1;

// --- content -----------------------------------------------------------------------------------

/// Leaf of the hash tree (BEP 52).
pub const BLOCK_LEN: u32 = 16 * 1024;
/// Smallest chunk: below this, per-chunk messages cost more than the payload.
pub const MIN_CHUNK_LEN: u32 = 64 * 1024;
/// Largest chunk that [`crate::layout::chunk_len_for`] picks from the size alone: one chunk is
/// verified in memory and must not take long on a slow link.
pub const TYPICAL_MAX_CHUNK_LEN: u32 = 4 * 1024 * 1024;
/// Chunk length is doubled past the typical maximum only up to here (16 TiB at 2^20 chunks uses 16 MiB).
pub const MAX_CHUNK_LEN: u32 = 64 * 1024 * 1024;
/// Chunks aimed at per content: enough for near-optimal distribution (`K >= 1024`).
pub const TARGET_CHUNKS: u64 = 2048;
/// Most chunks a content may have: a bitfield stays at 128 KiB.
pub const MAX_CHUNKS: u32 = 1 << 20;
/// Most chunks a folder may have: small files do not share chunks, so each costs one.
pub const MAX_FOLDER_CHUNKS: u32 = 1 << 21;
/// Largest content: what 2^20 chunks of 64 MiB hold (64 TiB).
pub const MAX_CONTENT_SIZE: u64 = (MAX_CHUNKS as u64) * (MAX_CHUNK_LEN as u64);
/// Largest folder manifest, held in memory while it is parsed.
pub const MAX_MANIFEST_LEN: usize = 256 * 1024 * 1024;
/// Most entries in a folder.
pub const MAX_MANIFEST_ENTRIES: usize = 1_000_000;
/// Deepest path in a folder, in components.
pub const MAX_PATH_DEPTH: usize = 64;
/// Longest path component, in bytes: the limit of common file systems.
pub const MAX_NAME_LEN: usize = 255;
/// Longest path, in bytes (PATH_MAX on Linux).
pub const MAX_PATH_LEN: usize = 4096;

// --- frames ------------------------------------------------------------------------------------

/// Largest frame before HELLO has been accepted: strangers get little memory.
pub const MAX_FRAME_BEFORE_HELLO: usize = 4 * 1024;
/// Payload of one DATA frame: 256 KiB halves the CPU cost of 16 KiB frames.
pub const MAX_DATA_LEN: usize = 256 * 1024;
/// Least payload of a DATA frame that does not end its request. No sender cuts finer, whatever its limits
/// and however slow its link; below it, what a frame costs its receiver is more than what it brings.
pub const MIN_DATA_LEN: usize = 16 * 1024;
/// Largest peer frame: a full DATA payload, or the bitmap of 2^21 chunks, with its header.
pub const MAX_PEER_FRAME: usize = MAX_DATA_LEN + 64;
/// Largest frame between peer and tracker: a page of the catalogue or a batch of registrations.
pub const MAX_TRACKER_FRAME: usize = 256 * 1024;
/// Deepest nesting of MessagePack that is decoded.
pub const MAX_MSGPACK_DEPTH: usize = 16;

// --- peer protocol -----------------------------------------------------------------------------

/// Contents open at once on one connection.
pub const MAX_OPEN_PER_PEER: usize = 256;
/// Requests one peer may have waiting at us.
pub const MAX_LIVE_REQUESTS: usize = 256;
/// Bytes one peer may have requested from us and not yet received.
pub const MAX_QUEUED_BYTES: u64 = 64 * 1024 * 1024;
/// Offsets and lengths of requests are multiples of this, except at the end of a chunk.
pub const REQUEST_ALIGN: u32 = 64 * 1024;
/// Chunks asked for by one REQ_ANY.
pub const MAX_REQ_ANY: usize = 16;
/// Chunks listed in a REQ_ANY as in flight elsewhere.
pub const MAX_REQ_ANY_EXCLUDES: usize = 256;
/// Runs in one HAVE or DONT_HAVE.
pub const MAX_HAVE_RUNS: usize = 1024;
/// Hashes in one HASHES answer (BEP 52 uses 512).
pub const MAX_HASHES: usize = 1024;
/// Uncle hashes in one HASHES answer: tree depth cannot exceed log2(2^46 / 2^14).
pub const MAX_PROOF: usize = 40;
/// Longest human text in a protocol message.
pub const MAX_TEXT: usize = 200;
/// Longest agent string.
pub const MAX_AGENT: usize = 64;
/// Longest encoded membership.
pub const MAX_MEMBERSHIP: usize = 512;
/// Longest signed list of a tracker's hosts: eight usual names, and WELCOME stays below [`MAX_FRAME_BEFORE_HELLO`].
pub const MAX_TRACKER_HOSTS: usize = 1024;
/// Keys on a tracker's list of those it lets in no more: who revokes more within two days has none of them in, and their
/// memberships run out. 16 KB to each peer.
pub const MAX_REVOKED: usize = 500;

// --- tracker protocol --------------------------------------------------------------------------

/// Files in one Register.
pub const MAX_REGISTER: usize = 256;
/// Rows in one FileList answer.
pub const MAX_LIST_ROWS: usize = 500;
/// Sources in one FileLocations answer unless fewer are asked for.
pub const DEFAULT_LOCATIONS: usize = 50;
/// Most sources in one FileLocations answer.
pub const MAX_LOCATIONS: usize = 200;
/// Bytes of encoded chunk sets in one FileLocations answer; further sources carry counts only.
pub const LOCATIONS_HAVE_BUDGET: usize = 64 * 1024;
/// Files in one ChunkRegister.
pub const MAX_CHUNK_REGISTER: usize = 256;
/// Contents one connection may watch.
pub const MAX_WATCHES: usize = 1000;
/// Contents one peer may register.
pub const MAX_FILES_PER_PEER: usize = 100_000;
/// Other names kept per content.
pub const MAX_ALIASES: usize = 8;
/// Addresses one peer may announce.
pub const MAX_ADDRS: usize = 8;
/// Longest search text.
pub const MAX_QUERY: usize = 128;
/// Alternatives in one search: with [`MAX_QUERY_WORDS`], what one row may cost.
pub const MAX_QUERY_ALTERNATIVES: usize = 8;
/// Words in one search, over all its alternatives: every row is compared with each of them.
pub const MAX_QUERY_WORDS: usize = 8;
/// Longest list of a folder's files that is told to the tracker: some 5,000 files, of which it takes some 20 ms to check.
pub const MAX_INSIDE_MANIFEST: usize = 512 * 1024;
/// The same as it is sent: what a frame of [`MAX_TRACKER_FRAME`] holds beside its other fields.
pub const MAX_INSIDE_PACKED: usize = 240 * 1024;
/// Longest text of the names of one folder's files, by which they are found: 2,000 names of 64 bytes, of which a
/// search goes through some hundred.
pub const MAX_INSIDE_NAMES: usize = 128 * 1024;
/// Rows in one answer to FIND: more than a screen.
pub const MAX_FIND_ROWS: usize = 100;
/// Files named in one row of that; of the others it is said how many there are.
pub const MAX_FIND_PATHS: usize = 3;
/// Rows in one answer about who is in the network: with [`MAX_ADDRS`] addresses each, less than half a frame.
pub const MAX_MEMBERS: usize = 200;
/// Longest cursor among members, in bytes: a key and a nick, which folding makes up to three times as long.
pub const MAX_MEMBER_CURSOR: usize = 32 + 3 * MAX_NICK;
/// Longest name a peer may give itself, in bytes.
pub const MAX_NICK: usize = 64;
/// Changes in one pushed delta.
pub const MAX_DELTA: usize = 500;
/// New numbers of rows in one catalogue delta: 18 bytes each at most, beside 128 KiB of rows in a frame of 256.
pub const MAX_COUNTS: usize = 4000;
