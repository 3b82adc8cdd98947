//! PURE. What is shared, described as BitTorrent v2 has it (BEP 52): our roots are its pieces roots and our chunk hashes its
//! piece layers, so that nothing is hashed again. Only written, never read.

use std::collections::BTreeMap;

use common::hash::sha256_concat;
use common::id::Hash;
use common::manifest::EntryKind;

use crate::library::Prepared;

/// Multihash of BEP 52's magnet links: SHA-256, 32 bytes.
const BTMH: &str = "urn:btmh:1220";

/// A description for programs that speak BitTorrent v2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Torrent {
    /// The file.
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of its `info`, by which such programs know it. Unlike our ids it changes with the name.
    pub(crate) info_hash: Hash,
}

/// Why something cannot be described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TorrentError {
    /// Hashes of files that were not chosen for download are not known.
    #[error(
        "{missing} of its files are not here, so their hashes are not known: fetch the whole folder first"
    )]
    NotWhole {
        /// How many.
        missing: usize,
    },
}

impl Torrent {
    /// Describes a file or folder that was hashed, with trackers of BitTorrent to be asked (`announce`, best first; none: the
    /// reader has to find peers by itself). The same always gives the same bytes. Folders without a file in them have no
    /// place in it. A folder whose only file has the folder's name is a single file to BitTorrent.
    ///
    /// # Errors
    /// [`TorrentError`].
    pub(crate) fn of(prepared: &Prepared, announce: &[String]) -> Result<Self, TorrentError> {
        let missing = prepared.hashes.iter().filter(|hashes| !hashes.is_complete()).count();
        if missing > 0 {
            return Err(TorrentError::NotWhole { missing });
        }
        let info = info(prepared).encoded();
        let info_hash = sha256_concat(&[&info]);
        let mut all = BTreeMap::from([
            (b"created by".to_vec(), Value::text(concat!("shoal ", env!("CARGO_PKG_VERSION")))),
            (b"info".to_vec(), Value::Encoded(info)),
            (b"piece layers".to_vec(), piece_layers(prepared)),
        ]);
        if let Some(first) = announce.first() {
            all.insert(b"announce".to_vec(), Value::text(first));
        }
        if announce.len() > 1 {
            // A tier each: the second is asked when the first does not answer (BEP 12).
            let tiers = announce.iter().map(|url| Value::List(vec![Value::text(url)]));
            all.insert(b"announce-list".to_vec(), Value::List(tiers.collect()));
        }
        Ok(Self { bytes: Value::Dict(all).encoded(), info_hash })
    }

    /// A link by which programs find it that are told its peers by a tracker or by the network itself (BEP 9, BEP 52).
    pub(crate) fn magnet(&self, name: &str, size: u64, announce: &[String]) -> String {
        use std::fmt::Write as _;
        let mut link = format!("magnet:?xt={BTMH}{}&dn={}", self.info_hash.hex(), encode(name));
        // Writing to a text does not fail.
        let _ = write!(link, "&xl={size}");
        for url in announce {
            let _ = write!(link, "&tr={}", encode(url));
        }
        link
    }
}

fn encode(text: &str) -> String {
    common::join::percent_encode(text)
}

fn info(prepared: &Prepared) -> Value {
    let mut tree = BTreeMap::new();
    match &prepared.manifest {
        None => {
            let (size, root) = (prepared.descriptor.size, prepared.descriptor.root);
            tree.insert(prepared.name.clone().into_bytes(), file(size, root, false));
        }
        Some(manifest) => {
            for entry in manifest.entries().filter(|entry| entry.kind == EntryKind::File) {
                insert(&mut tree, &entry.path, file(entry.size, entry.root, entry.exec));
            }
        }
    }
    Value::Dict(BTreeMap::from([
        (b"file tree".to_vec(), Value::Dict(tree)),
        (b"meta version".to_vec(), Value::Int(2)),
        (b"name".to_vec(), Value::text(&prepared.name)),
        (b"piece length".to_vec(), Value::Int(prepared.layout.chunk_len().into())),
    ]))
}

/// Puts a file at its place in the tree. Manifests have no path below a file, and are not deep.
fn insert(tree: &mut BTreeMap<Vec<u8>, Value>, path: &[String], file: Value) {
    match path {
        [] => {}
        [name] => drop(tree.insert(name.clone().into_bytes(), file)),
        [name, rest @ ..] => {
            let below = tree.entry(name.clone().into_bytes());
            if let Value::Dict(below) = below.or_insert_with(|| Value::Dict(BTreeMap::new())) {
                insert(below, rest, file);
            }
        }
    }
}

/// A leaf of the tree: its key is empty. Empty files have no root; `attr` is of BEP 47.
fn file(size: u64, root: Hash, exec: bool) -> Value {
    let mut fields = BTreeMap::from([(b"length".to_vec(), Value::Int(size))]);
    if size > 0 {
        fields.insert(b"pieces root".to_vec(), Value::Bytes(root.as_bytes().to_vec()));
    }
    if exec {
        fields.insert(b"attr".to_vec(), Value::text("x"));
    }
    Value::Dict(BTreeMap::from([(Vec::new(), Value::Dict(fields))]))
}

/// Hashes of the pieces of each file that has more than one.
fn piece_layers(prepared: &Prepared) -> Value {
    let layers = prepared.hashes.iter().filter(|hashes| hashes.chunks() > 1);
    let layers = layers.filter_map(|hashes| {
        Some((hashes.root().as_bytes().to_vec(), Value::Bytes(hashes.to_bytes()?)))
    });
    Value::Dict(layers.collect())
}

/// What bencoding can say (BEP 3), as far as it is needed.
#[derive(Debug)]
enum Value {
    Int(u64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    /// In the order of the keys' bytes, as it has to be.
    Dict(BTreeMap<Vec<u8>, Value>),
    /// Bytes that are a value already.
    Encoded(Vec<u8>),
}

impl Value {
    fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }

    fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(int) => out.extend(format!("i{int}e").into_bytes()),
            Self::Bytes(bytes) => write_bytes(bytes, out),
            Self::List(values) => {
                out.push(b'l');
                values.iter().for_each(|value| value.write(out));
                out.push(b'e');
            }
            Self::Dict(fields) => {
                out.push(b'd');
                for (key, value) in fields {
                    write_bytes(key, out);
                    value.write(out);
                }
                out.push(b'e');
            }
            Self::Encoded(bytes) => out.extend_from_slice(bytes),
        }
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(format!("{}:", bytes.len()).into_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::library::{Progress, hash_watched};

    fn hashed(path: &Path) -> Prepared {
        hash_watched(path, 1, &Progress::default(), &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn a_file_is_described_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "hello").unwrap();
        let torrent = Torrent::of(&hashed(&path), &[]).unwrap();
        // One block of five bytes: its root is the SHA-256 of "hello".
        let root = sha256_concat(&[b"hello"]);
        let info = [
            &b"d9:file treed9:notes.txtd0:d6:lengthi5e11:pieces root32:"[..],
            root.as_bytes(),
            b"eee12:meta versioni2e4:name9:notes.txt12:piece lengthi65536ee",
        ]
        .concat();
        let version = format!("shoal {}", env!("CARGO_PKG_VERSION"));
        let wanted = [
            format!("d10:created by{}:{version}4:info", version.len()).as_bytes(),
            &info,
            b"12:piece layersdee",
        ]
        .concat();
        assert_eq!(torrent.bytes, wanted);
        assert_eq!(torrent.info_hash, sha256_concat(&[&info]));
        let trackers = ["http://a/announce".to_owned(), "udp://b:1".to_owned()];
        let hash = torrent.info_hash.hex();
        assert_eq!(
            torrent.magnet("my notes", 5, &trackers),
            format!(
                "magnet:?xt=urn:btmh:1220{hash}&dn=my%20notes&xl=5&tr=http%3A%2F%2Fa%2Fannounce&tr=udp%3A%2F%2Fb%3A1"
            )
        );
        let told = Torrent::of(&hashed(&path), &trackers).unwrap();
        assert_eq!(told.info_hash, torrent.info_hash, "who is asked is no part of what it is");
        let head =
            b"d8:announce17:http://a/announce13:announce-listll17:http://a/announceel9:udp://b:1ee";
        assert!(told.bytes.starts_with(head));
    }

    #[test]
    fn layers_are_those_of_files_with_more_than_one_piece() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        std::fs::create_dir_all(folder.join("b/c")).unwrap();
        std::fs::create_dir_all(folder.join("nothing")).unwrap();
        std::fs::write(folder.join("b/c/large"), vec![7; 200_000]).unwrap();
        std::fs::write(folder.join("b/one"), vec![7; 65_536]).unwrap();
        std::fs::write(folder.join("a"), "").unwrap();
        let prepared = hashed(&folder);
        let text =
            String::from_utf8_lossy(&Torrent::of(&prepared, &[]).unwrap().bytes).into_owned();
        assert!(
            text.contains("9:file treed1:ad0:d6:lengthi0eee1:bd1:cd5:larged0:d6:lengthi200000e")
        );
        assert!(text.contains("3:oned0:d6:lengthi65536e") && !text.contains("nothing"), "{text}");
        let large = prepared.hashes.iter().find(|hashes| hashes.chunks() == 4).unwrap();
        let bytes = Torrent::of(&prepared, &[]).unwrap().bytes;
        let layers = [
            b"12:piece layersd32:",
            &large.root().as_bytes()[..],
            b"128:",
            &large.to_bytes().unwrap(),
            b"ee",
        ]
        .concat();
        assert!(bytes.ends_with(&layers));
    }
}
