//! S12: the bodies of the fuzz targets, in every run: their examples, damaged ones, and rubbish.

use std::path::Path;

/// Damaged copies of each example.
const ROUNDS: u32 = 400;

#[test]
fn s12_no_bytes_upset_what_reads_them() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../common/fuzz/seeds");
    common::fuzzing::exercise(engine::fuzzing::TARGETS, &seeds, ROUNDS, 12);
}
