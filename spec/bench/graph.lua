-- graph -- the bench of the graph solver: a file of pairs, against tsort in the same run.
local NAMES, PAIRS = 1000000, 5000000

-- {seconds, cpu, mib} of a command.
local function measure(bench, argv, timeout)
  local out = bench.run({ bench.work .. "/measure", table.unpack(argv) }, timeout)
  local seconds, cpu, kib = out:match("^(%S+) (%S+) (%S+)")
  return { seconds = tonumber(seconds), cpu = tonumber(cpu), mib = tonumber(kib) / 1024 }
end

local function fastest(bench, argv, times)
  local best
  for _ = 1, times do
    local took = measure(bench, argv, 120)
    if not best or took.seconds < best.seconds then best = took end
  end
  return best
end

local function row(bench, what, took, wanted)
  bench.row(what, ("%.2f s, %.0f MiB"):format(took.seconds, took.mib), wanted or "")
end

return function(bench)
  bench.say(("graph: %d names, %d pairs, and tsort"):format(NAMES, PAIRS))
  local path = bench.work .. "/pairs"
  bench.run({ "sh", "-c", '"$0" "$1" "$2" >"$3"', bench.work .. "/edges", tostring(NAMES),
    tostring(PAIRS), path }, 120)
  local ours = fastest(bench, { bench.orrery, "graph", "--edges", path }, 3)
  local calls = fastest(bench, { "lua5.4", "spec/bench/graph_calls.lua", path }, 1)
  local theirs = measure(bench, { "tsort", path }, 300)
  os.remove(path)
  row(bench, "graph of 1,000,000 names, 5,000,000 pairs: tsort", theirs)
  row(bench, "  orrery graph --edges", ours, "10 times as fast, less memory")
  bench.row("  times as fast", ("%.1f"):format(theirs.seconds / ours.seconds), "> 10")
  row(bench, "  the same, call by call from Lua", calls)
end
