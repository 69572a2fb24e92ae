#!/bin/sh
# check.sh -- the rules that need no build: format, Lua, layers. Says only what is wrong.
set -u
cd "$(dirname "$0")/.."
failed=0

# report NAME OUTPUT -- one line when all is well, the first lines of the output otherwise
report() {
  if [ -z "$2" ]; then echo "ok      $1"; return; fi
  failed=1
  echo "FAILED  $1"
  echo "$2" | head -n 12 | sed 's/^/        /'
  more=$(($(echo "$2" | wc -l) - 12))
  [ $more -le 0 ] || echo "        ... and $more lines more"
}

c_files=$(find engine backends -name '*.[ch]' 2>/dev/null)

report "C format (clang-format -i)" "$(clang-format --dry-run --Werror $c_files 2>&1 |
  sed -n 's/^\([^:]*:[0-9]*\):.*error: .*/\1/p' | sort -u)"
report "luacheck" "$(luacheck --formatter plain --codes . 2>&1)"

# includes PATTERN FOLDER|FILE... -- lines that include a header whose name matches
includes() {
  pattern=$1
  shift
  grep -rnE "^ *# *include *[<\"]($pattern)" "$@" 2>/dev/null
}

io_headers='uv\.h|uv/|curl/|ares|microhttpd\.h'
lua_headers='lua\.h|lauxlib\.h|lualib\.h'
report "core sees no loop, network or Lua" "$(includes "$io_headers|$lua_headers|io/|bind/|engine\.h" engine/core)"
report "io and backends see no Lua" "$(includes "$lua_headers|bind/" engine/io backends)"
report "only the boundary sees Lua" "$(includes "$lua_headers" engine | grep -vE '^engine/(bind/|engine\.[ch]:|module\.c:|main\.c:)')"
report "only what people type into sees the command line" "$(grep -rnE 'require.{1,2}"orrery\.cli[".]' lua |
  grep -vE '^lua/orrery/(cli|repl|docs)/')"
report "files under 600 lines" "$(find engine backends lua spec -name '*.[chl]*' -type f 2>/dev/null |
  xargs wc -l | awk '$2 != "total" && $1 > 600 { print $2 ": " $1 " lines" }')"

exit $failed
