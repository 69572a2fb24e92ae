#!/bin/sh
# run.sh -- runs specs with a build that has the sanitizers in it, and ends with the one line
# "N passed, N failed, N skipped". Exit code 0 only if nothing failed.
#   spec/run.sh [FILE|FOLDER|busted option]...     default: every spec, in two processes side by side,
#                                                  as those with real servers mostly wait
# $BUILD names the build folder (default: build-asan).
set -u
cd "$(dirname "$0")/.."
BUILD=$(readlink -f "${BUILD:-build-asan}")
[ -e "$BUILD/lib/orrery/core.so" ] || { echo "run.sh: $BUILD/lib/orrery/core.so is missing: run make build-asan" >&2; exit 2; }

# Everything a test writes lies here; what is still there at the end is litter.
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/orrery-run.XXXXXX")
chmod 755 "$TMPDIR" # services that run as another user find their own folders in it
export TMPDIR
mkdir "$TMPDIR/.ports"
export ORRERY_PORTS="$TMPDIR/.ports" # which of the test processes has which port: see support/ports.lua
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT TERM

export ORRERY_BIN="${ORRERY_BIN:-$BUILD/orrery}"
export LUA_PATH="lua/?.lua;lua/?/init.lua;spec/?.lua;spec/?/init.lua;;"
export LUA_CPATH="$BUILD/lib/?.so;;"
# Lua and libc keep memory that is reachable until the process ends; only lost memory is a leak.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

# The module is built with the sanitizers, stock lua5.4 is not: their runtime must come first.
preload=
if grep -q __asan_init "$BUILD/lib/orrery/core.so"; then preload=$(${CC:-cc} -print-file-name=libasan.so); fi

# part NAME SPEC... -- runs the specs with a temporary folder of their own, and adds a line of
# "passed failed skipped" to the sums and what failed to .failed
part() {
  name=$1
  shift
  mkdir "$TMPDIR/$name" && chmod 755 "$TMPDIR/$name"
  env TMPDIR="$TMPDIR/$name" ORRERY_TOTALS="$TMPDIR/.totals-$name" ORRERY_FAILED="$TMPDIR/.failed-$name" \
    ORRERY_RUNNING="$TMPDIR/.running-$name" ${preload:+LD_PRELOAD="$preload"} lua5.4 /usr/bin/busted "$@"
  code=$?
  passed=0 failed=0 skipped=0
  [ ! -e "$TMPDIR/.totals-$name" ] || read -r passed failed skipped <"$TMPDIR/.totals-$name"
  if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then
    failed=1
    complain "the test process ended with exit code $code, the last test begun was" \
      "'$(cat "$TMPDIR/.running-$name" 2>/dev/null)'; what it said is above"
  fi
  litter=$(ls -A "$TMPDIR/$name")
  if [ -n "$litter" ]; then
    failed=$((failed + 1))
    complain "the tests left files in their temporary folder:" $litter
  fi
  echo "$passed $failed $skipped" >>"$TMPDIR/.sums"
}

complain() { echo "run.sh: $*" | tee -a "$TMPDIR/.failed-$name"; }

if [ $# -gt 0 ]; then
  part specs "$@"
else
  part servers spec/integration >"$TMPDIR/.servers" 2>&1 &
  servers=$!
  trap 'kill $servers 2>/dev/null; exit 130' INT TERM
  part others spec/core spec/lua spec/e2e
  echo "run.sh: those with real servers (spec/integration):"
  wait $servers
  cat "$TMPDIR/.servers"
fi
# Who reads only the end of a long output finds all that failed there.
if cat "$TMPDIR"/.failed-* >"$TMPDIR/.failed" 2>/dev/null; then
  echo "run.sh: what failed (with more lines above):"
  cat "$TMPDIR/.failed"
fi
awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 }' "$TMPDIR/.sums"
