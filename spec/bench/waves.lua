-- waves -- 500 services in a chain of 50 waves, each of which needs one of the wave before: what a
-- wave costs above the services' own starts, which is what the same services cost without a chain.
local running = require "bench.running"

local WAVES, WIDTH, TURNS = 50, 10, 3

local STACK = [[
local services, chained = {}, %s
for wave = 1, %d do
  for n = 1, %d do
    services[("w%%02d-%%d"):format(wave, n)] = { exec = { "sleep", "100000" },
      dependencies = chained and wave > 1 and { ("w%%02d-%%d"):format(wave - 1, n) } or nil }
  end
end
return { name = "bench-waves", profile = "custom", stateDir = "state", services = services }
]]

local function span(bench, path)
  local first, last
  running.with_stack(bench, path, function(stack)
    first, last = running.span(stack, WAVES * WIDTH)
  end)
  return (last - first) * 1000
end

return function(bench)
  bench.say(("%d services in %d waves"):format(WAVES * WIDTH, WAVES))
  local chain = running.write(bench, "waves", STACK:format("true", WAVES, WIDTH))
  local flat = running.write(bench, "waves-flat", STACK:format("false", WAVES, WIDTH))
  local chained, unchained = {}, {}
  for n = 1, TURNS do
    chained[n], unchained[n] = span(bench, chain), span(bench, flat)
  end
  local with, without = math.min(table.unpack(chained)), math.min(table.unpack(unchained))
  bench.row(("%d services at once"):format(WAVES * WIDTH), ("%.0f ms"):format(without))
  bench.row(("  in a chain of %d waves"):format(WAVES), ("%.0f ms"):format(with))
  bench.row("  a wave, above that", ("%.2f ms"):format((with - without) / WAVES), "< 2 ms")
end
