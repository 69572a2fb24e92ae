#!/bin/sh
# run.sh -- builds the fuzzers into build-fuzz/ and runs each for $FUZZ_TIME seconds (60).
# What they find lies in build-fuzz/ as crash-*, and is shown.
set -eu
cd "$(dirname "$0")/../.."
clang=${CLANG:-$(command -v clang || command -v clang-14 || command -v clang-19 || true)}
[ -n "$clang" ] || { echo "fuzz: clang is not installed: apt-get install clang libclang-rt-14-dev" >&2; exit 2; }
cmake -S . -B build-fuzz -G Ninja -DCMAKE_C_COMPILER="$clang" -DORRERY_FUZZ=ON >/dev/null
cmake --build build-fuzz --target fuzz_json fuzz_yaml fuzz_text
cd build-fuzz
for name in json yaml text; do
  echo "fuzz: $name, ${FUZZ_TIME:-60} s"
  mkdir -p "corpus-$name"
  cp ../spec/fuzz/seeds/* "corpus-$name/"
  "./fuzz_$name" -max_total_time="${FUZZ_TIME:-60}" -max_len=2000 -timeout=10 -verbosity=1 \
    -print_final_stats=1 "corpus-$name" 2>&1 | grep -E '^stat::number|^stat::average|ERROR|SUMMARY|^==' || true
done
found=$(ls | grep -E '^(crash|leak|timeout|oom)-' || true)
[ -z "$found" ] || { echo "fuzz: found:" $found; exit 1; }
