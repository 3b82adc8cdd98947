//! A log file that is put aside when it is full: `shoal.log`, `shoal.log.1` (newer) to `shoal.log.3`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use common::numbers::saturate;

/// Bytes of one file: some days of an ordinary peer, and still opened by any editor.
pub const MAX_FILE: u64 = 4 << 20;
/// Files kept beside the present one: 16 MiB in all.
pub const KEEP: u32 = 3;

/// The file, and its predecessors.
#[derive(Debug)]
pub struct Rotating {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    size: u64,
    most: u64,
    keep: u32,
}

impl Rotating {
    /// Goes on at the end of `path`; its folder is made if need be. Nobody else may read it.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: PathBuf, most: u64, keep: u32) -> io::Result<Self> {
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let (file, size) = append(&path)?;
        Ok(Self { path, file: Some(file), size, most, keep })
    }

    /// Adds whole lines. A disk that is full loses them: the log must not stop the program.
    pub fn write(&mut self, lines: &[u8]) {
        let len = saturate::<u64>(lines.len());
        if self.file.is_none() {
            // It could not be opened when it was put aside or moved: perhaps now.
            self.reopen();
        }
        if self.size > 0 && self.size.saturating_add(len) > self.most {
            self.rotate();
        }
        if let Some(file) = &mut self.file
            && file.write_all(lines).is_ok()
        {
            self.size = self.size.saturating_add(len);
        }
    }

    /// Lets the file have everything.
    pub fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            // As for `write`.
            let _ = file.flush();
        }
    }

    /// Opens the file by its name again.
    pub fn reopen(&mut self) {
        self.flush();
        self.file = None;
        if let Ok((file, size)) = append(&self.path) {
            (self.file, self.size) = (Some(file), size);
        }
    }

    fn rotate(&mut self) {
        self.flush();
        self.file = None;
        for n in (0..self.keep).rev() {
            // One that is not there need not move.
            let _ = std::fs::rename(self.numbered(n), self.numbered(n + 1));
        }
        if self.keep == 0 {
            let _ = std::fs::remove_file(&self.path);
        }
        self.size = 0;
        self.reopen();
    }

    fn numbered(&self, n: u32) -> PathBuf {
        if n == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{n}"));
        PathBuf::from(name)
    }
}

fn append(path: &Path) -> io::Result<(BufWriter<File>, u64)> {
    // Names of files and addresses of people: nobody else's business.
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let size = file.metadata()?.len();
    Ok((BufWriter::new(file), size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn files_stay_small_few_and_in_order(lens in prop::collection::vec(1usize..60, 1..80), keep in 0u32..4) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x.log");
            let mut log = Rotating::open(path.clone(), 100, keep).unwrap();
            let mut all = String::new();
            for (i, len) in lens.iter().enumerate() {
                let line = format!("{i:03}{}\n", "-".repeat(*len));
                all.push_str(&line);
                log.write(line.as_bytes());
            }
            log.flush();
            let mut kept = String::new();
            for n in (0..=keep).rev() {
                let text = read(&log.numbered(n));
                prop_assert!(text.len() <= 100);
                kept.push_str(&text);
            }
            prop_assert!(all.ends_with(&kept) && !kept.is_empty());
            prop_assert!(std::fs::read_dir(dir.path()).unwrap().count() <= keep as usize + 1);
        }
    }

    #[test]
    fn a_log_that_could_not_be_opened_once_goes_on_when_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log/x.log");
        let mut log = Rotating::open(path.clone(), 100, 1).unwrap();
        std::fs::remove_dir_all(dir.path().join("log")).unwrap();
        log.reopen();
        log.write(b"lost\n");
        std::fs::create_dir(dir.path().join("log")).unwrap();
        log.write(b"kept\n");
        log.flush();
        assert_eq!(read(&path), "kept\n");
    }

    #[test]
    fn a_restart_goes_on_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/x.log");
        for line in ["a\n", "b\n"] {
            Rotating::open(path.clone(), 100, 1).unwrap().write(line.as_bytes());
        }
        assert_eq!(read(&path), "a\nb\n");
    }
}
