# progress.sh -- sourced by the scripts beside it: how they speak while they work.
# $me is the name they speak under.

say() { echo "$me: $*" >&2; }

# Runs a command quietly: a line of progress every five seconds, and its last lines if it fails.
with_progress() {
  title=$1
  shift
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  trap 'kill $pid 2>/dev/null; rm -f "$log"; exit 130' INT TERM
  waited=0
  while kill -0 $pid 2>/dev/null; do
    sleep 1
    waited=$((waited + 1))
    [ $((waited % 5)) -ne 0 ] || say "$title ... $waited s: $(tail -n 1 "$log" | cut -c 1-60)"
  done
  code=0
  wait $pid || code=$?
  trap - INT TERM
  [ $code -eq 0 ] || { say "$title failed:"; tail -n 15 "$log" >&2; }
  rm -f "$log"
  return $code
}
