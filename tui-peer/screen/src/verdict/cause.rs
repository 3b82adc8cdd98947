//! What holds a download back, each cause in a sentence, with the key that helps.

use crate::action::Action;
use crate::keymap::Keymap;
use engine::api::cause::Cause;

/// A cause in a sentence. `rate` writes bytes per second as the reader wants them.
pub fn sentence(cause: &Cause, rate: impl Fn(f64) -> String, keymap: &Keymap) -> String {
    let some = |n: &u32, one: &str, many: &str| {
        if *n == 1 { format!("1 source {one}") } else { format!("{n} sources {many}") }
    };
    let then = |action, what| keymap.and(" ", action, what);
    match cause {
        Cause::Queued(n) => {
            format!("Waiting for other downloads to finish: number {n} in the queue.")
        }
        Cause::Paused => format!("You paused it.{}", then(Action::Pause, "resumes it.")),
        Cause::DiskFull => format!(
            "The disk is full. It resumes by itself when there is room{}.",
            keymap.aside(Action::Retry, "tries now")
        ),
        Cause::Vanished => vanished(keymap),
        Cause::Failed(why) => {
            let again = then(Action::Retry, "tries again.");
            format!("Failed: {}.{again}", common::names::show(why))
        }
        Cause::Watching => "Nobody has it yet. It starts by itself when somebody does.".into(),
        Cause::Resolving => "Asking sources what this content is.".into(),
        Cause::Checking => "Checking what is on disk.".into(),
        Cause::Finishing => "All here; being written to disk and moved into place.".into(),
        Cause::NoSource(n) => format!("Nobody online has any of the {n} missing chunks."),
        Cause::Lost(1) => "Nobody online has 1 missing chunk.".into(),
        Cause::Lost(n) => format!("Nobody online has {n} missing chunks."),
        Cause::Offline => format!(
            "Not in a network: no sources can be found.{}",
            then(Action::Rejoin, "rejoins.")
        ),
        Cause::TrackerLost(s) => format!(
            "The tracker has not answered for {s} s: known sources keep working, new ones cannot be found."
        ),
        Cause::OwnLimit(limit) => {
            format!("Your own limit of {} holds it back.", rate(*limit as f64))
        }
        Cause::OurDisk(percent) => {
            format!("Our disk is the limit: writing {percent} % of the time.")
        }
        Cause::Hashing(percent) => {
            format!("Our processor is the limit: hashing {percent} % of the time.")
        }
        Cause::Choked(n) => some(
            n,
            "is serving others first; our turn will come.",
            "are serving others first; our turn will come.",
        ),
        Cause::Snubbed(n) => some(
            n,
            "stopped delivering; its chunks are requested from others.",
            "stopped delivering; their chunks are requested from others.",
        ),
        Cause::Dialing(n) => some(n, "is being dialled.", "are being dialled."),
        Cause::Unreachable(n) => {
            some(n, "cannot be reached; still trying.", "cannot be reached; still trying.")
        }
        Cause::Hashes => {
            "Chunk hashes come first: nothing is requested that could not be verified.".into()
        }
        Cause::Others(others) => format!("Your other downloads take {}.", rate(*others)),
        Cause::TheirUplink(n) => some(
            n,
            "is sending all it can: its uplink is the limit.",
            "are sending all they can: their uplinks are the limit.",
        ),
    }
}

fn vanished(keymap: &Keymap) -> String {
    let ways = [
        keymap.does(Action::Verify, "looks again once it is back"),
        keymap.does(Action::Download, "fetches it again"),
        keymap.does(Action::Unshare, "forgets it"),
    ];
    let ways: Vec<String> = ways.into_iter().flatten().collect();
    let gap = if ways.is_empty() { "" } else { ": " };
    format!("Gone from disk, so it is not served{gap}{}.", ways.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::api::cause::one_of_each;
    use settings::Binding;

    #[test]
    fn every_cause_has_a_sentence_with_and_without_keys() {
        let none: Vec<Binding> = Action::ALL
            .iter()
            .map(|action| Binding { action: action.name().into(), keys: Vec::new(), line: 1 })
            .collect();
        let (standard, bare) = (Keymap::standard(), Keymap::new(&none).unwrap());
        for cause in one_of_each() {
            for keymap in [&standard, &bare] {
                let text = sentence(&cause, |rate| format!("{rate} B/s"), keymap);
                assert!(text.ends_with('.') && !text.contains("  "), "{text}");
                assert!(!text.contains("..") && !text.contains(" ."), "{text}");
            }
        }
        let text = sentence(&Cause::Paused, |_| String::new(), &bare);
        assert_eq!(text, "You paused it.");
    }
}
