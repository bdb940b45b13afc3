#!/usr/bin/env bash
# serde_json prints a double so that it can be read exactly, and reads another one.
#
# serde_json 1.0.154 with its default features, on 64 bits (cargo, and crates.io).
#
# It writes the shortest digits that mean this double and no other. One would guess that from_str reads that
# double. One of ten in 0..1 comes back as its neighbour, and three of ten of all that there are; no error is
# given. The feature `float_roundtrip` mends it, and any crate of a program that asks for it mends it for all
# of them: so tests that are built with more crates may not see what the program does.
#
# Seen:
#     0.9229856735800069 is read as 0.9229856735800068
#     of 20000 in 0..1: 2076 are read as others
#     of 20000 of all magnitudes: 5969 are read as others
#     with float_roundtrip: 0, 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "doubles"
version = "0.0.0"
edition = "2024"
[features]
exact = ["serde_json/float_roundtrip"]
[dependencies]
serde_json = "=1.0.154"
[workspace]
TOML
cat >"$folder/src/main.rs" <<'RUST'
fn main() {
    let back = |double: f64| -> f64 {
        serde_json::from_str(&serde_json::to_string(&double).unwrap()).unwrap()
    };
    let one = 0.9229856735800069;
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    };
    let unit: Vec<f64> = (0..20_000).map(|_| (random() >> 11) as f64 / (1_u64 << 53) as f64).collect();
    let all = std::iter::repeat_with(|| f64::from_bits(random())).filter(|double| double.is_finite());
    let all: Vec<f64> = all.take(20_000).collect();
    let others = |doubles: &[f64]| doubles.iter().filter(|double| back(**double) != **double).count();
    println!("{one} is read as {}", back(one));
    println!("of 20000 in 0..1: {} are read as others", others(&unit));
    println!("of 20000 of all magnitudes: {} are read as others", others(&all));
}
RUST
cd "$folder"
cargo run --quiet | tee plain
cargo run --quiet --features exact | tee exact
changed=0
grep -q 'is read as 0.9229856735800068$' plain || changed=1
[ "$(grep -c ': 0 are read' plain)" = 0 ] || changed=1
[ "$(grep -c ': 0 are read' exact)" = 2 ] || changed=1
[ "$changed" = 0 ] || { echo "it is no longer so" >&2; exit 1; }
