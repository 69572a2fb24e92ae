-- pds -- what a running simple-pds costs.
local orrery = require "orrery"
local running = require "bench.running"

local time = orrery.time

local IDLE_SECONDS = 20

local PDS_STACK = [[return {
  name = "bench-pds", profile = "simple-pds", stateDir = "state", domain = "localhost",
  services = { pds = { port = %d }, plc = { port = %d } },
}]]

return function(bench)
  bench.say("simple-pds: starting it")
  local net = orrery.net
  local path = running.write(bench, "pds", PDS_STACK:format(net.free_port(), net.free_port()))
  running.with_stack(bench, path, function(stack, took)
    local _, state = running.connect(stack)
    local agent, guard = state.agent.pid, state.agent.guard
    bench.row("simple-pds: up -d until settled", ("%.1f s"):format(took))
    bench.say(("simple-pds: idle for %d s"):format(IDLE_SECONDS))
    local before = running.cpu(agent) + running.cpu(guard)
    time.sleep(IDLE_SECONDS)
    local used = running.cpu(agent) + running.cpu(guard) - before
    local memory = running.field(agent, "RssAnon") + running.field(guard, "RssAnon")
    bench.row("agent and guard, anonymous memory", ("%.2f MiB"):format(memory / 1024), "< 6 MiB")
    bench.row("  agent alone", ("%.2f MiB"):format(running.field(agent, "RssAnon") / 1024))
    bench.row(("agent and guard, idle, over %d s"):format(IDLE_SECONDS),
      ("%.3f %% of a core"):format(used / IDLE_SECONDS / 1e7), "< 0.1 %")
  end)
end
