#!/usr/bin/env bash
# fuzz.sh [SECONDS] [TARGET...]: runs the fuzz targets for so long each (30 s), from the committed corpus on. What is found goes
# to target/fuzz, which also has the corpus as it grows; inputs worth keeping are copied to fuzz/corpus by hand.
set -euo pipefail
cd "$(dirname "$0")/../.."
# What cargo has set for `cargo xtask` must not choose another toolchain.
unset CARGO RUSTC RUSTUP_TOOLCHAIN RUSTFLAGS
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "skipped: fuzzing needs nightly Rust (rustup toolchain install nightly)"
    exit
elif ! c++ --version >/dev/null 2>&1; then
    echo "skipped: fuzzing needs a C++ compiler, since libFuzzer is written in that"
    exit
fi
seconds=30
if [[ ${1-} =~ ^[0-9]+$ ]]; then
    seconds=$1
    shift
fi
mapfile -t all < <(basename --suffix=.rs --multiple fuzz/targets/*.rs)
for target in "$@"; do
    [[ " ${all[*]} " == *" $target "* ]] || { echo "no fuzz target $target; there are ${all[*]}" >&2 && exit 1; }
done
# Coverage as libFuzzer needs it, and comparisons to learn from: https://llvm.org/docs/LibFuzzer.html
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing"
# A target that is named keeps build scripts free of the fuzzer's flags.
host=$(rustc --print host-tuple)
cargo +nightly build --quiet --release --bins --target "$host" --manifest-path fuzz/Cargo.toml --target-dir target/fuzz
for target in "${@:-${all[@]}}"; do
    mkdir -p "target/fuzz/corpus/$target" target/fuzz/found
    log=target/fuzz/$target.log
    # The first folder is written to, the other only read.
    if ! "target/fuzz/$host/release/$target" "-max_total_time=$seconds" "-artifact_prefix=target/fuzz/found/$target-" \
        -print_final_stats=1 -timeout=10 -rss_limit_mb=512 "target/fuzz/corpus/$target" "fuzz/corpus/$target" 2>"$log"; then
        tail -n 40 "$log" >&2
        echo "$target failed on an input in target/fuzz/found" >&2
        exit 1
    fi
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s, nothing found"
done
