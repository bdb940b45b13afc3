//! The corpus of the fuzz targets, run through the same functions.
//!
//! That no input has more room made for it than it fills is held by lengths: what is decoded encodes to
//! no more bytes than were there. Counting allocations would take unsafe code.

#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
#[path = "../../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

/// Each input of a target, and what cuts and flips make of it.
fn each_input(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let inputs = fs::read_dir(corpus.join(target)).unwrap();
    let mut count = 0;
    for input in inputs {
        let bytes = fs::read(input.unwrap().path()).unwrap();
        run(&bytes);
        // A long one is there for its length.
        for place in 0..bytes.len().min(64) {
            run(&bytes[..place]);
            let mut changed = bytes.clone();
            changed[place] ^= 0xff;
            run(&changed);
        }
        count += 1;
    }
    assert!(count > 0, "no corpus of {target}");
}

#[test]
fn a_row_of_any_bytes_is_read_or_refused() {
    each_input("rows", targets::rows);
}

#[test]
fn a_receipt_of_any_text_is_read_or_refused() {
    each_input("receipts", targets::receipts);
}

#[test]
fn a_payload_of_any_bytes_runs_or_is_parked() {
    each_input("payloads", targets::payloads);
}

#[test]
fn any_options_are_taken_or_refused() {
    each_input("options", targets::options);
}
