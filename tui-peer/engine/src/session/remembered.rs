//! The network remembered over restarts. It is in a file of its own in the state folder, readable by the
//! owner only, because its secret is in it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use common::join::{JoinString, MAX_LINK_LEN};
use common::limits::MAX_TRACKER_HOSTS;
use common::tracker_hosts::TrackerHosts;

use super::Session;
use crate::api::event::{Level, Target, What};
use crate::host;

/// Name of the file in the state folder.
const JOIN_FILE: &str = "network.join";
/// The signed list of its tracker's hosts.
const HOSTS_FILE: &str = "network.hosts";
/// Where one is put that cannot be used.
const ASIDE_FILE: &str = "network.join.damaged";

/// A remembered network that cannot be used.
#[derive(Debug)]
pub(super) struct Unusable {
    path: PathBuf,
    why: String,
    /// Whether it was put aside, or why not.
    aside: io::Result<()>,
}

/// The network remembered in a state folder, if any. What cannot be used is put aside, so that it is not
/// lost when another network is joined, and told once.
pub(super) fn remembered(state_dir: &Path) -> Result<Option<JoinString>, Unusable> {
    let path = state_dir.join(JOIN_FILE);
    // What stands there is not repeated: part of it may be the secret.
    let why = match read(&path) {
        Ok(None) => return Ok(None),
        Ok(Some(text)) => match text.trim().parse() {
            Ok(join) => return Ok(Some(join)),
            Err(_) => "it does not hold a join string".to_owned(),
        },
        Err(error) if error.kind() == io::ErrorKind::InvalidData => "it is not a text".to_owned(),
        Err(error) => error.to_string(),
    };
    let aside = std::fs::rename(&path, state_dir.join(ASIDE_FILE));
    Err(Unusable { path, why, aside })
}

/// The same for who only looks: nothing is put aside, and what cannot be used is none.
pub(crate) fn known(state_dir: &Path) -> Option<JoinString> {
    read(&state_dir.join(JOIN_FILE)).ok()??.trim().parse().ok()
}

/// Where the tracker of `join` is too, by its own word when it was reached last. A list of another network is of no use,
/// and stays until that one's tracker gives a new one.
pub(super) fn known_hosts(state_dir: &Path, join: &JoinString) -> Option<TrackerHosts> {
    let mut bytes = Vec::new();
    let file = File::open(state_dir.join(HOSTS_FILE)).ok()?;
    file.take(MAX_TRACKER_HOSTS as u64 + 1).read_to_end(&mut bytes).ok()?;
    TrackerHosts::verify(&bytes, &join.tracker()).ok()
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // One byte more than any join string has, with its line end, shows that it is something else.
    let mut text = String::new();
    file.take(MAX_LINK_LEN as u64 + 2).read_to_string(&mut text)?;
    Ok(Some(text))
}

impl Unusable {
    /// For the log: what, where.
    fn text(&self) -> String {
        let Self { path, why, aside } = self;
        let path = path.display();
        match aside {
            Ok(()) => {
                format!("{path}, the remembered network, is damaged ({why}): kept as {ASIDE_FILE}")
            }
            Err(error) => format!(
                "{path}, the remembered network, cannot be used ({why}) nor put aside ({error})"
            ),
        }
    }

    /// In one line for a screen.
    fn short(&self) -> String {
        let kept = if self.aside.is_ok() { ASIDE_FILE } else { JOIN_FILE };
        format!("the remembered network is damaged ({kept} in the state folder); join it again")
    }
}

impl Session {
    /// Says that the remembered network cannot be used, until another is joined.
    pub(super) fn miss_network(&mut self, unusable: &Unusable) {
        let hint = "join again with the join string of the network".to_owned();
        let what = What::Failed { id: None, code: "network", hint };
        self.tell(Level::Warn, Target::Track, unusable.text(), what);
        self.net.trouble = Some(unusable.short());
    }

    /// The tracker said where it is; `newer` is its signed list, if that is news.
    pub(super) fn on_hosts(&mut self, list: TrackerHosts, newer: Option<&[u8]>) {
        self.net.hosts = Some(list);
        if let Some(signed) = newer.filter(|_| self.config.remember) {
            self.remember_hosts(signed);
        }
    }

    fn remember_hosts(&self, signed: &[u8]) {
        let path = self.config.state_dir.join(HOSTS_FILE);
        if let Err(error) = host::write_private(&path, signed) {
            let text =
                format!("could not remember where the tracker is in {}: {error}", path.display());
            self.log(Level::Warn, Target::Track, text);
        }
    }

    /// Whether `join` is the network remembered, which only one becomes that let us in.
    pub(super) fn remembers(&self, join: &JoinString) -> bool {
        known(&self.config.state_dir).is_some_and(|known| known == *join)
    }

    /// The next start without another join string is in this network.
    pub(super) fn remember_network(&mut self, join: &JoinString) {
        let path = self.config.state_dir.join(JOIN_FILE);
        // So that an older program knows it too.
        if let Err(error) =
            host::write_private(&path, format!("{}\n", join.widely_read()).as_bytes())
        {
            let text = format!("could not remember the network in {}: {error}", path.display());
            self.log(Level::Warn, Target::Track, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use common::tracker_hosts::Listed;

    use super::*;

    #[test]
    fn where_the_tracker_is_too_is_known_of_its_own_network_only() {
        let dir = tempfile::tempdir().unwrap();
        let tracker = common::identity::Identity::generate().unwrap();
        let join = |key| JoinString::new(key, "10.0.0.2", 7420, None).unwrap();
        let own = join(tracker.peer_id());
        assert_eq!(known_hosts(dir.path(), &own), None);
        let signed = TrackerHosts::issue(
            &tracker,
            7,
            Listed::Addresses,
            &[("tracker.lab".to_owned(), 7420)],
        );
        host::write_private(&dir.path().join(HOSTS_FILE), &signed).unwrap();
        assert_eq!(known_hosts(dir.path(), &own).unwrap().serial(), 7);
        assert_eq!(known_hosts(dir.path(), &join(common::id::PeerId::from_bytes([7; 32]))), None);
        std::fs::write(dir.path().join(HOSTS_FILE), [0; 5000]).unwrap();
        assert_eq!(known_hosts(dir.path(), &own), None);
    }

    #[test]
    fn f11_only_a_file_that_is_not_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (file, aside) = (dir.path().join(JOIN_FILE), dir.path().join(ASIDE_FILE));
        assert!(remembered(dir.path()).unwrap().is_none());
        let key = common::id::PeerId::from_bytes([7; 32]);
        let good = format!("shoal://{key}@10.0.0.2:7420?secret=correct-horse-battery");
        std::fs::write(&file, format!("{good}\n")).unwrap();
        assert_eq!(remembered(dir.path()).unwrap().unwrap().to_string(), good);
        let torn = &good.as_bytes()[..40];
        let secret = good.replace('?', "");
        let long = [good.as_bytes(), &[b'x'; 1 << 20]].concat();
        for bytes in [b"".as_slice(), torn, &[0; 120], &[0xff; 8], secret.as_bytes(), &long] {
            std::fs::write(&file, bytes).unwrap();
            let unusable = remembered(dir.path()).unwrap_err();
            let said = unusable.text() + &unusable.short();
            assert!(said.contains("network.join.damaged") && !said.contains("horse"), "{said}");
            assert_eq!(std::fs::read(&aside).unwrap(), bytes, "nothing is thrown away");
            assert!(remembered(dir.path()).unwrap().is_none(), "told once");
        }
        // What is no file at all cannot even be read.
        std::fs::remove_file(&aside).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(remembered(dir.path()).is_err() && aside.is_dir());
    }
}
