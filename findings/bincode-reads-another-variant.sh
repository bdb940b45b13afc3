#!/usr/bin/env bash
# A derived serde enum is read as another of its variants, without an error, in bincode and in postcard.
#
# serde 1.0.229, bincode 2.0.1, postcard 1.2.0 (cargo, and crates.io).
#
# One variant of an enum is marked #[serde(skip)], because it is never to be stored, and never is. The derived
# Serialize counts it all the same when it numbers the others, and the derived Deserialize does not. Formats
# with names, as JSON, do not care. Those that write the number read the variant after the one that was
# written; where that has fields, its fields are made of the bytes that follow.
# A field with #[serde(skip_serializing_if = "Option::is_none")] is the same kind of thing, and better known:
# mostly it ends in an error, but not if what follows happens to decode.
#
# Seen:
#     json     Approved  is read as Approved
#     bincode  Approved  is read as Rejected
#     postcard Approved  is read as Rejected
#     json     Sparse { maybe: None, number: 1, bytes: [3, 0] } is read as Sparse { maybe: None, number: 1, bytes: [3, 0] }
#     bincode  Sparse { maybe: None, number: 1, bytes: [3, 0] } is read as Sparse { maybe: Some(2), number: 3, bytes: [] }
#     postcard Sparse { maybe: None, number: 1, bytes: [3, 0] } is read as Sparse { maybe: Some(2), number: 3, bytes: [] }
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "variants"
version = "0.0.0"
edition = "2024"
[dependencies]
bincode = { version = "=2.0.1", features = ["serde"] }
postcard = { version = "=1.2.0", features = ["alloc"] }
serde = { version = "=1.0.229", features = ["derive"] }
serde_json = "=1.0.154"
[workspace]
TOML
cat >"$folder/src/main.rs" <<'RUST'
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[allow(dead_code)]
enum Answer {
    #[serde(skip)]
    NotAskedYet,
    Approved,
    Rejected,
}

#[derive(Debug, Serialize, Deserialize)]
struct Sparse {
    #[serde(skip_serializing_if = "Option::is_none")]
    maybe: Option<u8>,
    number: u8,
    bytes: Vec<u8>,
}

fn show<T: Serialize + DeserializeOwned + Debug>(value: T) {
    let json: T = serde_json::from_str(&serde_json::to_string(&value).unwrap()).unwrap();
    println!("json     {value:?} is read as {json:?}");
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(&value, config).unwrap();
    let (back, used): (T, usize) = bincode::serde::decode_from_slice(&bytes, config).unwrap();
    assert_eq!(used, bytes.len());
    println!("bincode  {value:?} is read as {back:?}");
    let back: T = postcard::from_bytes(&postcard::to_allocvec(&value).unwrap()).unwrap();
    println!("postcard {value:?} is read as {back:?}");
}

fn main() {
    show(Answer::Approved);
    show(Sparse { maybe: None, number: 1, bytes: vec![3, 0] });
}
RUST
cd "$folder"
cargo run --quiet | tee seen
changed=0
for format in bincode postcard; do
    grep -q "^$format *Approved is read as Rejected$" seen || changed=1
    grep -q "^$format .* is read as Sparse { maybe: Some(2), number: 3, bytes: \[\] }$" seen || changed=1
done
[ "$changed" = 0 ] || { echo "it is no longer so" >&2; exit 1; }
