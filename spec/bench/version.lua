-- version -- how long the program takes to start and end.
local time = require("orrery").time

local RUNS = 20

local function timed(fn)
  local began = time.monotonic()
  fn()
  return (time.monotonic() - began) * 1000
end

return function(bench)
  bench.say(("orrery version, %d times"):format(RUNS))
  local values, bare = {}, {}
  for i = 1, RUNS do
    values[i] = timed(function() bench.run { bench.orrery, "version" } end)
    bare[i] = timed(function() bench.run { "/bin/true" } end)
  end
  bench.row("orrery version (median)", ("%.1f ms"):format(bench.median(values)), "< 10 ms")
  bench.row("  of that, starting any program from here", ("%.1f ms"):format(bench.median(bare)))
end
