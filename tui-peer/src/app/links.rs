//! Links among the words of `get`: on the command line, in a file, or on standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _};

use common::join::{JoinString, Link, MAX_LINK_LEN, parse_any};

use crate::headless::Output;

/// Longest file holding a link: its line, and what else somebody wrote below it.
const MAX_FILE: u64 = 64 * 1024;

/// The network of some links, and a link without secret to each content.
pub(super) struct Links {
    pub(super) join: JoinString,
    pub(super) each: Vec<String>,
}

/// What links among the words say; `None` if there is none.
pub(super) fn links(what: &[String]) -> Result<Option<Links>, String> {
    let mut found: Option<Links> = None;
    let mut others = Vec::new();
    for text in what {
        let Ok(Link::File(link)) = parse_any(text) else {
            others.push(text.clone());
            continue;
        };
        let links =
            found.get_or_insert_with(|| Links { join: link.join().clone(), each: Vec::new() });
        if links.join.tracker() != link.join().tracker() {
            return Err("these are links of several networks: get them one by one".to_owned());
        }
        if links.join.secret().is_none() {
            links.join = link.join().clone();
        }
        links.each.extend(link.each().iter().map(ToString::to_string));
    }
    if let Some(links) = &mut found {
        if links.join.secret().is_some() && !others.is_empty() {
            return Err("a link of its own stands alone: get the others apart".to_owned());
        }
        links.each.extend(others);
    }
    Ok(found)
}

/// Puts links in the place of files that hold one, and asks for one where nothing was named: a link may hold
/// a secret, which would be seen on a command line.
pub(super) fn read_links(what: &mut Vec<String>) -> Result<(), String> {
    for text in &mut *what {
        if let Some(path) = text.strip_prefix('@').map(str::to_owned) {
            let read =
                File::open(&path).and_then(|file| first_line(BufReader::new(file), MAX_FILE));
            *text = read.map_err(|error| format!("{path}: {error}"))?;
            if parse_any(text).is_err() {
                return Err(format!("{path} holds no link in its first line"));
            }
        }
    }
    if what.is_empty() {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            Output::new(false, 0).always("paste the link, then press Enter:");
        }
        // Its line end, and one more byte to tell a longer one.
        let line = first_line(stdin.lock(), MAX_LINK_LEN as u64 + 2);
        let line = line.map_err(|error| format!("standard input: {error}"))?;
        if line.is_empty() {
            return Err(
                "nothing to get: give a NAME|ID|LINK or @FILE, or a link on standard input"
                    .to_owned(),
            );
        }
        what.push(line);
    }
    Ok(())
}

/// The first line that is not blank, of `max` bytes at most; empty if there is none. Reads no further.
fn first_line(from: impl BufRead, max: u64) -> io::Result<String> {
    let mut line = Vec::new();
    for byte in from.take(max).bytes() {
        match byte? {
            b'\n' if line.iter().all(u8::is_ascii_whitespace) => line.clear(),
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    let text = String::from_utf8(line);
    let text = text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a text"))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use common::id::PeerId;

    use super::*;

    #[test]
    fn c2_a_link_is_the_first_line_and_no_longer_than_one() {
        let line = |text: &[u8]| first_line(text, 20);
        assert_eq!(line(b"\n  \n shoal://x \nrest").unwrap(), "shoal://x");
        assert_eq!(line(b"").unwrap(), "");
        assert_eq!(line(&[b'x'; 100]).unwrap().len(), 20);
        assert!(line(b"\xff\n").is_err());
    }

    #[test]
    fn c2_links_lose_their_secret_and_are_of_one_network() {
        let (key, other) = (PeerId::from_bytes([7; 32]), PeerId::from_bytes([8; 32]));
        let id = common::id::ContentId::from_bytes([9; 32]);
        let second = common::id::ContentId::from_bytes([10; 32]);
        let open = format!("shoal://{key}@h:1/{id}");
        let own = format!("{open}?n=a&also={second}&secret=correct-horse-battery");
        let of = |what: &[&str]| links(&what.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert!(of(&["name"]).unwrap().is_none());
        let found = of(&[&own]).unwrap().unwrap();
        assert!(found.join.secret().is_some());
        assert_eq!(found.each, [format!("{open}?n=a"), format!("shoal://{key}@h:1/{second}")]);
        assert!(of(&[&own, "name"]).is_err());
        assert_eq!(of(&[&open, "name"]).unwrap().unwrap().each, [open.as_str(), "name"]);
        assert!(of(&[&open, &format!("shoal://{other}@h:1/{id}")]).is_err());
    }
}
