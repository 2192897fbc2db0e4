# The only list of commands; `just` alone prints it. One profile (release) for everything, so that each heavy
# dependency is compiled once.

_list:
    @just --list --unsorted

# Format, lints, licences and advisories, house rules; needs cargo-deny
check:
    cargo fmt --all --check
    cargo fmt --manifest-path plugins/Cargo.toml --all --check
    cargo clippy --release --locked --workspace --all-targets -- -D warnings
    cargo clippy --release --locked --manifest-path plugins/Cargo.toml --target-dir target/plugins --workspace --exclude componentize --all-targets -- -D warnings
    cargo deny check
    cargo test --release --locked --workspace --exclude portcullis-benches --test it -- tidy:: compliance::

# Everything: unit, integration, hostile guests, foreign clients; installs what is missing
test:
    ./tests/run

# Tests whose name contains NAME
test-one NAME:
    cargo test --release --workspace {{NAME}}

# Fuzz TARGET for SECONDS (targets: tests/fuzz/fuzz_targets)
fuzz TARGET SECONDS="300":
    cargo +nightly fuzz run --fuzz-dir tests/fuzz {{ if TARGET == "configuration" { "--features configuration" } else { "" } }} {{TARGET}} -- -max_total_time={{SECONDS}}

# Benchmarks; BENCH picks one
bench BENCH="":
    cargo bench -p portcullis-benches {{ if BENCH == "" { "" } else { "--bench " + BENCH } }}

# Scenarios on every broker found here, in turn; ARGS: --list, names, core, scale, --rounds 15, --null; then `plots`
bench-peers *ARGS:
    cargo build --release --locked -p portcullis -p portcullis-bench-peers
    target/release/bench-peers {{ARGS}}

# Instructions of what every message pays, beside what was agreed to; ARGS: renew, list
guard *ARGS:
    cargo run --release --locked -p portcullis-bench-guard -- {{ARGS}}

# A broker with a demo user in ./portcullis-data
run *ARGS:
    cargo run --release -- quickstart {{ARGS}}

# Build the example plugin in LANGUAGE (rust, c, js, ts, python, go) with what tests/setup installed
example LANGUAGE:
    ./examples/build {{LANGUAGE}}

# Build the bundled plugins and put them into plugins/prebuilt
plugin *ARGS:
    ./plugins/build {{ARGS}}

# API documentation of the workspace's own crates
docs:
    cargo doc --release --workspace --no-deps

# The long proofs, half an hour: every figure of the program tests, each fuzz target for 5 minutes, benchmarks, quickstart
proof:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo test --release --locked --workspace --exclude portcullis-benches --no-run
    PORTCULLIS_PROOF=1 cargo test --release --locked --workspace --exclude portcullis-benches --test it -- program:: retained_scale::
    PORTCULLIS_PROOF=1 cargo test --release --locked --workspace --exclude portcullis-benches --lib -- --nocapture figures_of_many_topics
    PORTCULLIS_PROOF=1 cargo test --release --locked -p store -- --nocapture
    for target in tests/fuzz/fuzz_targets/*.rs; do
        just fuzz "$(basename "$target" .rs)" 300
    done
    cargo bench -p portcullis-benches
    just quickstart-proof

# The quickstart's proof, without leaving anything running or on disk
quickstart-proof:
    #!/usr/bin/env bash
    set -euo pipefail
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
    cargo run --release -- quickstart --once --dir "$dir/data"
