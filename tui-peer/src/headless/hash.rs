//! `hash`: id and root of files and folders, without any network.

use std::path::PathBuf;

use common::content::Kind;
use serde_json::json;

use super::output::{Output, with_name, with_path};
use super::share::note_left_out;
use super::working::{label, reading};
use super::{share_code, together};
use crate::args::exit;
use engine::api::library::{Progress, hash_watched};

/// Hashes every path; returns the exit code.
pub async fn hash(paths: &[PathBuf], out: &mut Output) -> u8 {
    let mut failed = Vec::new();
    for path in paths {
        let read = path.clone();
        let work = move |progress: &Progress, cancel: &_| {
            hash_watched(&read, 0, progress, cancel).map(|it| (it, progress.left_out()))
        };
        let hashed = match reading(label(path), out, work).await {
            Ok(hashed) => hashed,
            Err(code) => return code,
        };
        match hashed {
            Ok((prepared, left_out)) => {
                let kind = if prepared.kind == Kind::Folder { "folder" } else { "file" };
                let (id, root) = (prepared.id.to_string(), prepared.descriptor.root.hex());
                let object = json!({
                    "kind": kind, "size": prepared.layout.total(),
                    "chunks": prepared.layout.chunks(), "chunk_size": prepared.layout.chunk_len(),
                    "root": root, "id": id,
                });
                let shown = common::names::show(&prepared.name);
                out.json(&with_path(with_name(object, &prepared.name, &shown), "path", path));
                out.line(&format!(
                    "{id}  {root}  {}",
                    common::names::show(&path.to_string_lossy())
                ));
                note_left_out(&shown, left_out.as_deref(), out);
            }
            Err(error) => {
                let code = share_code(&error);
                let word = if code == exit::NOT_FOUND { "not-found" } else { "hash" };
                out.error(word, &error.to_string(), "check the path");
                failed.push(code);
            }
        }
    }
    together(&failed, paths.len())
}
