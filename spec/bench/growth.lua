-- growth -- what plan, up, status and down take of stacks of 500, 1,000 and 2,000 services: each
-- row should say about the same for each service.
local orrery = require "orrery"
local running = require "bench.running"

local SIZES = { 500, 1000, 2000 }

local STACK = [[
local services = {}
for n = 1, %d do services["sleep-" .. n] = { exec = { "sleep", "100000" } } end
return { name = "bench-growth", profile = "custom", stateDir = "state", services = services }
]]

local function timed(bench, path, ...)
  local began = orrery.time.monotonic()
  bench.run({ bench.orrery, "-f", path, ... }, 300)
  return orrery.time.monotonic() - began
end

return function(bench)
  local took = { plan = {}, up = {}, status = {}, down = {} }
  for n, size in ipairs(SIZES) do
    bench.say(("a stack of %d services"):format(size))
    local path = running.write(bench, "growth-" .. size, STACK:format(size))
    took.plan[n] = timed(bench, path, "plan") / size
    took.up[n] = timed(bench, path, "up", "-d") / size
    took.status[n] = timed(bench, path, "status") / size
    took.down[n] = timed(bench, path, "down") / size
  end
  bench.row(("ms a service, of %d, %d, %d"):format(table.unpack(SIZES)), "")
  for _, verb in ipairs({ "plan", "up", "status", "down" }) do
    local each = took[verb]
    bench.row("  " .. (verb == "up" and "up -d" or verb), ("%.2f %.2f %.2f"):format(each[1] * 1000,
      each[2] * 1000, each[3] * 1000))
  end
end
