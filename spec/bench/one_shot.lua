-- one_shot -- one_shot.lua KIND PORT SECONDS: checks that run once, 64 at a time. Prints how many
-- passed, and the seconds of processor that this took. KIND: kept, fresh, tcp.
local core = require "orrery.core"

local kind, port, seconds = arg[1], math.tointeger(tonumber(arg[2])), tonumber(arg[3])
local AT_ONCE = 64
local URL = ("http://127.0.0.1:%d/"):format(port)
local SPECS = {
  kept = { strategy = "http", url = URL, reuse = true },
  fresh = { strategy = "http", url = URL },
  tcp = { strategy = "tcp", port = port },
}

local passed, stop = 0, core.time.monotonic() + seconds

local function client()
  while core.time.monotonic() < stop do
    if core.check.run(SPECS[kind]).ok then passed = passed + 1 end
  end
end

local before, tasks = os.clock(), {}
for i = 1, AT_ONCE do tasks[i] = core.task.spawn(client) end
for _, task in ipairs(tasks) do task:join() end
print(passed, ("%.3f"):format(os.clock() - before))
