#!/bin/sh
# run.sh -- runs specs with a build that has the sanitizers in it, and ends with the one line
# "N passed, N failed, N skipped". Exit code 0 only if nothing failed.
#   spec/run.sh [FILE|FOLDER|busted option]...     default: every spec, each file in a process of its
#                                                  own, three of them side by side
# $BUILD names the build folder (default: build-asan).
set -u
cd "$(dirname "$0")/.."
BUILD=$(readlink -f "${BUILD:-build-asan}")
[ -e "$BUILD/lib/orrery/core.so" ] || { echo "run.sh: $BUILD/lib/orrery/core.so is missing: run make build-asan" >&2; exit 2; }

# What who runs them has set reaches no test.
for name in $(env | sed -n 's/^\(ORRERY_[A-Za-z_]*\|ATPROTO_SERVICE_[A-Za-z0-9_]*\)=.*/\1/p'); do
  case $name in ORRERY_BIN | ORRERY_OUTAGE | ORRERY_SEED | ORRERY_TIMES) ;; *) unset "$name" ;; esac
done
unset NO_COLOR COLUMNS LINES LANGUAGE NOTIFY_SOCKET
export LC_ALL=C.UTF-8

# Everything a test writes lies here; what is still there at the end is litter.
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/orrery-run.XXXXXX")
chmod 755 "$TMPDIR" # services that run as another user find their own folders in it
export TMPDIR
mkdir "$TMPDIR/.ports" "$TMPDIR/.claims"
export ORRERY_PORTS="$TMPDIR/.ports" # which of the test processes has which port: see support/ports.lua
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT TERM

export ORRERY_BIN="${ORRERY_BIN:-$BUILD/orrery}"
export LUA_PATH="lua/?.lua;lua/?/init.lua;spec/?.lua;spec/?/init.lua;;"
export LUA_CPATH="$BUILD/lib/?.so;;"
# Lua and libc keep memory that is reachable until the process ends; only lost memory is a leak. The
# libraries have no sanitizer in them: freed memory is filled, so that libuv trips over a handle there.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:max_free_fill_size=65536:free_fill_byte=255}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

# The module is built with the sanitizers, stock lua5.4 is not: their runtime must come first.
preload=
if grep -q __asan_init "$BUILD/lib/orrery/core.so"; then preload=$(${CC:-cc} -print-file-name=libasan.so); fi

complain() { echo "run.sh: $*" | tee -a "$work/failed"; }

# one SPEC... -- runs specs in a process of their own, with a temporary folder of their own: its
# report goes to standard output, a line of "passed failed skipped" and what failed into $work.
# (Its name is short: Unix sockets, and the names of Lua's chunks, are bounded.)
one() {
  mkdir "$work/t" && chmod 755 "$work" "$work/t"
  env TMPDIR="$work/t" ORRERY_TOTALS="$work/totals" ORRERY_FAILED="$work/failed" \
    ORRERY_RUNNING="$work/running" ${preload:+LD_PRELOAD="$preload"} lua5.4 /usr/bin/busted "$@"
  code=$?
  passed=0 failed=0 skipped=0
  [ ! -e "$work/totals" ] || read -r passed failed skipped <"$work/totals"
  if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then
    failed=1
    complain "$*: the test process ended with exit code $code, the last test begun was" \
      "'$(cat "$work/running" 2>/dev/null)'; what it said is above"
  fi
  litter=$(ls -A "$work/t")
  if [ -n "$litter" ]; then
    failed=$((failed + 1))
    complain "$*: the tests left files in their temporary folder:" $litter
  fi
  echo "$passed $failed $skipped" >"$work/totals"
}

# Those with real servers mostly wait, the others mostly compute: one worker begins with the former,
# one with the others, and each takes what is left until nothing is. Making the folder is the claim.
worker() { # SPEC...
  for spec; do
    mkdir "$TMPDIR/.claims/$(echo "$spec" | tr / .)" 2>/dev/null || continue
    work=$(mktemp -d "$TMPDIR/XXXX")
    one "$spec" >"$work/report" 2>&1
    { flock 9; cat "$work/report"; } 9>"$TMPDIR/.lock"
  done
}

if [ $# -gt 0 ]; then
  work=$(mktemp -d "$TMPDIR/XXXX")
  one "$@"
else
  servers=$(ls spec/integration/*_spec.lua)
  programs=$(ls spec/e2e/*_spec.lua)
  rest=$(ls spec/core/*_spec.lua spec/lua/*_spec.lua)
  workers=
  trap 'kill $workers 2>/dev/null; exit 130' INT TERM
  worker $servers $programs $rest & workers="$workers $!"
  worker $rest $programs $servers & workers="$workers $!"
  worker $programs $rest $servers & workers="$workers $!"
  wait
  wanted=$(echo $servers $programs $rest | wc -w)
  reported=$(ls "$TMPDIR"/*/totals | wc -l)
  if [ "$reported" -ne "$wanted" ]; then
    work=$(mktemp -d "$TMPDIR/XXXX")
    complain "only $reported of $wanted spec files have ended"
    echo 0 1 0 >"$work/totals"
  fi
fi
# Who reads only the end of a long output finds all that failed there.
if cat "$TMPDIR"/*/failed >"$TMPDIR/.failed" 2>/dev/null; then
  echo "run.sh: what failed (with more lines above):"
  cat "$TMPDIR/.failed"
fi
cat "$TMPDIR"/*/totals |
  awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 }'
