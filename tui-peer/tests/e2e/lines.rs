//! What a program says, while it runs.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

/// Its lines as they come, as `parse` reads them.
pub(crate) fn lines<T: Send + 'static>(
    from: impl Read + Send + 'static,
    parse: fn(String) -> T,
) -> Receiver<T> {
    let (tx, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if tx.send(parse(line)).is_err() {
                break;
            }
        }
    });
    lines
}

/// A line of JSON; on any other it panics, and nothing more comes.
pub(crate) fn json(line: String) -> Value {
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
}
