-- sleeps -- many services that need nothing, beside bare fork and exec.
local running = require "bench.running"

local SERVICES = 200

local SLEEPS_STACK = [[
local services = {}
for n = 1, %d do services["sleep-" .. n] = { exec = { "sleep", "1000" } } end
return { name = "bench-sleeps", profile = "custom", stateDir = "state", services = services }
]]

return function(bench)
  bench.say(("%d services that need nothing"):format(SERVICES))
  local path = running.write(bench, "sleeps", SLEEPS_STACK:format(SERVICES))
  local bare, argv = {}, { bench.work .. "/fork_exec", tostring(SERVICES) }
  for i = 1, 5 do bare[i] = tonumber(bench.run(argv)) end
  running.with_stack(bench, path, function(stack, took)
    local first, last = running.span(stack, SERVICES)
    local ours, base = (last - first) * 1000, bench.median(bare)
    bench.row(("%d services: bare fork and exec"):format(SERVICES), ("%.0f ms"):format(base))
    bench.row("  first starting to last running, here", ("%.0f ms"):format(ours))
    bench.row("  beyond fork and exec, each", ("%.2f ms"):format((ours - base) / SERVICES),
      "< 0.2 ms")
    bench.row("  up -d, all of it", ("%.2f s"):format(took))
  end)
end
