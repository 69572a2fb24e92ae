#!/bin/sh
# run.sh -- measures the release build in build/ and prints one table. Asserts nothing.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d "${TMPDIR:-/tmp}/orrery-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # as root, services run as another user
for helper in fork_exec measure edges; do
  ${CC:-cc} -O2 -Wall -Wextra -o "$work/$helper" "spec/bench/$helper.c"
done
export BENCH_WORK="$work"
export LUA_PATH="lua/?.lua;lua/?/init.lua;spec/?.lua;;" LUA_CPATH="build/lib/?.so;;"
lua5.4 spec/bench/bench.lua
