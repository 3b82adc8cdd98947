//! Files that programs keep beside what they write, and that are gone when they are done: never taken into a watched
//! folder's states by themselves.

/// Ends of their names: of browsers and other downloaders, of editors.
const ENDS: [&str; 5] = [".part", ".crdownload", ".tmp", ".swp", "~"];
/// Begins of their names: locks of office programs.
const BEGINS: [&str; 1] = [".~lock."];
/// Letters and digits at the end of a name that rsync and `mktemp` make up.
const MADE_UP: usize = 6;

/// Whether a file of this name is one of those.
pub(super) fn is_passing(name: &str) -> bool {
    ENDS.iter().any(|end| name.len() > end.len() && name.ends_with(end))
        || BEGINS.iter().any(|begin| name.starts_with(begin))
        || is_made_up(name)
}

/// Whether it is `.NAME.XXXXXX`, as rsync calls what it has not received whole. Six small letters may be a word
/// (`.notes.backup`) and are made up once in two hundred times.
fn is_made_up(name: &str) -> bool {
    let inner = name.strip_prefix('.').and_then(|rest| rest.rsplit_once('.'));
    inner.is_some_and(|(name, end)| {
        let made = end.len() == MADE_UP && end.bytes().all(|byte| byte.is_ascii_alphanumeric());
        !name.is_empty() && made && !end.bytes().all(|byte| byte.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c7_names_that_programs_make_up_are_told_from_those_of_people() {
        for passing in [
            "film.mkv.part",
            "film.mkv.crdownload",
            "x.tmp",
            ".notes.txt.swp",
            "notes.txt~",
            ".~lock.table.ods#",
            ".film.mkv.a8Kd0Z",
            ".film.123456",
        ] {
            assert!(is_passing(passing), "{passing}");
        }
        for kept in [
            "film.mkv",
            ".bashrc",
            "~",
            ".part",
            "part",
            ".notes.backup",
            "notes.a8Kd0Z",
            "..a8Kd0Z",
            ".film.a8Kd0",
            "tmp",
        ] {
            assert!(!is_passing(kept), "{kept}");
        }
    }
}
