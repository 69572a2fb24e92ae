-- supervise -- 500 processes that need nothing, started and known to be up: beside a bare loop of
-- posix_spawn, supervisord and s6, which are measured in turn with ours.
local orrery = require "orrery"
local peers = require "bench.supervisors"
local running = require "bench.running"

local SERVICES, TURNS = 500, 3
local QUIET = 3 -- seconds after which the agent has given back what it does not need

local STACK = [[
local services = {}
for n = 1, %d do services["sleep-" .. n] = { exec = { "sleep", "100000" } } end
return { name = "bench-supervise", profile = "custom", stateDir = "state", services = services }
]]

--- Milliseconds from the call of `up -d` to the last service that runs, and that of them which the
-- agent itself took, from the first start.
local function ours(bench, path)
  local found = {}
  local began = orrery.time.now()
  running.with_stack(bench, path, function(stack)
    local first, last = running.span(stack, SERVICES)
    found.total, found.span = (last - began) * 1000, (last - first) * 1000
    orrery.time.sleep(QUIET)
    local pid = tonumber(assert(orrery.file.read(stack.dirs.state .. "/lock")):match("%d+"))
    local guard = orrery.process.stat(pid) and running.guard(stack)
    found.memory = running.field(pid, "RssAnon") + running.field(guard, "RssAnon")
    found.cpu = (running.cpu(pid) + running.cpu(guard)) / 1e9
  end)
  return found
end

local function bare(bench)
  local out = bench.run({ bench.work .. "/bare_spawn", tostring(SERVICES) })
  local ms, cpu = out:match("^(%S+) (%S+)")
  return tonumber(ms), tonumber(cpu)
end

local function least(values) return values[1] and math.min(table.unpack(values)) end

local function against(value, base) return ("%.0f ms (%.1fx)"):format(value, value / base) end

return function(bench)
  bench.say(("%d services that need nothing, beside supervisord and s6"):format(SERVICES))
  local path = running.write(bench, "supervise", STACK:format(SERVICES))
  local t = { bare = {}, cpu = {}, total = {}, span = {}, memory = {}, own = {}, supervisord = {},
    s6 = {} }
  for n = 1, TURNS do
    t.bare[n], t.cpu[n] = bare(bench)
    local found = ours(bench, path)
    t.total[n], t.span[n], t.memory[n], t.own[n] = found.total, found.span, found.memory, found.cpu
    for _, name in ipairs({ "supervisord", "s6" }) do
      table.insert(t[name], peers[name](bench, SERVICES))
    end
  end
  local base = least(t.bare)
  bench.row(("%d services: bare posix_spawn loop"):format(SERVICES), ("%.0f ms"):format(base))
  bench.row("  up -d, until the last is known to run", against(least(t.total), base), "< 1.5x")
  bench.row("  first starting to last running", against(least(t.span), base))
  bench.row("  processor: bare, theirs included", ("%.2f s"):format(least(t.cpu)))
  bench.row("  processor: agent and guard", ("%.2f s"):format(least(t.own)))
  bench.row("  agent and guard, anonymous memory",
    ("%.2f MiB"):format(least(t.memory) / 1024), "< 8 MiB")
  for _, name in ipairs({ "supervisord", "s6" }) do
    bench.row("  " .. name, t[name][1] and against(least(t[name]), base) or "not installed")
  end
end
