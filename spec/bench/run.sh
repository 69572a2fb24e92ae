#!/bin/sh
# run.sh -- measures the release build in build/ and prints one table. Asserts nothing.
#   spec/bench/run.sh [TABLE]...     default: all; `executor` is the table of executor.lua
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d "${TMPDIR:-/tmp}/orrery-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # as root, services run as another user
for helper in fork_exec bare_spawn measure edges bare_tcp listener render_live; do
  ${CC:-cc} -O2 -Wall -Wextra -o "$work/$helper" "spec/bench/$helper.c"
done
${CC:-cc} -O2 -Wall -Wextra -o "$work/bare_http" spec/bench/bare_http.c $(pkg-config --cflags --libs libcurl)
${CC:-cc} -O2 -Wall -Wextra -fPIC -shared -o "$work/allocs.so" spec/bench/allocs.c $(pkg-config --cflags lua5.4)
export BENCH_WORK="$work"
export LUA_PATH="lua/?.lua;lua/?/init.lua;spec/?.lua;;" LUA_CPATH="build/lib/?.so;$work/?.so;;"
lua5.4 spec/bench/bench.lua "$@"
[ $# -gt 0 ] || lua5.4 spec/bench/template.lua
