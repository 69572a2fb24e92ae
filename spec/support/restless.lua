--- restless -- asks a discovery backend for everything at once, and gives it up at random moments.
--- All that is random comes of one seed, so that what failed once can be repeated (as far as the
--- machine's own timing lets it).
local core = require "orrery.core"
local task, time = core.task, core.time

local M = {}

local RECORD = { service = "pds", id = "pds@edge", node = "edge", address = "10.0.0.1", port = 80 }
local CONSUL_LOCK = "445e9252-820e-f2fc-e7d2-fd080d4e0177:a/b"

local function wait(b) return b:lookup("pds", "0", 5) end

-- A cursor as the backend gives it, waited for; else one of another time.
local function watch(b)
  local records, cursor = b:lookup "pds"
  return records and b:lookup("pds", cursor, 5)
end

local PLAIN = {
  function(b) return b:register(RECORD, 60) end,
  function(b) return b:renew("pds", "pds@edge") end,
  function(b) return b:deregister("pds", "pds@edge") end,
  function(b) return b:lookup "pds" end,
  function(b) return b:services() end,
  wait, watch, watch,
}

local KEYED = {
  function(b) return b:lock("a/b", { timeout = 5 }) end,
  function(b) return b:renew_lock(b.kind == "consul" and CONSUL_LOCK or "5:a/b") end,
  function(b) return b:unlock("a/b", b.kind == "consul" and CONSUL_LOCK or "5:a/b") end,
  function(b) return b:kv_get("a/b", "1", 5) end,
  function(b) return b:kv_put("a/b", "x", 1) end,
  function(b) return b:kv_delete("a/b") end,
}

--- Numbers from 1 to n, by a generator of its own: math.random is everybody's.
function M.dice(seed)
  local state = seed
  return function(n)
    state = (state * 6364136223846793005 + 1442695040888963407)
    return (state >> 33) % n + 1
  end
end

--- Starts `count` requests of any kind.
function M.ask(backend, dice, count)
  local tasks = {}
  for i = 1, count do
    local verbs = backend.capabilities.lock and dice(2) == 1 and KEYED or PLAIN
    local verb = verbs[dice(#verbs)]
    tasks[i] = task.spawn(function() return verb(backend) end)
  end
  return tasks
end

--- One open backend: requests, some of them cancelled at any moment, and the backend closed while
--- others are under way. Every task has ended when it returns.
function M.round(backend, dice)
  local tasks = M.ask(backend, dice, 3 + dice(12))
  for _ = 1, dice(8) do
    if dice(3) > 1 then time.sleep(dice(20) / 1000) else time.sleep(0) end
    for _ = 1, dice(3) do tasks[dice(#tasks)]:cancel() end
    if dice(4) == 1 then
      for _, started in ipairs(M.ask(backend, dice, dice(4))) do tasks[#tasks + 1] = started end
    end
    if dice(6) == 1 then collectgarbage() end
  end
  if dice(4) == 1 then
    for _, one in ipairs(tasks) do one:cancel() end
  end
  backend:close()
  for i, one in ipairs(tasks) do
    one:join(50)
    assert(one:done(), "request " .. i .. " did not end when its backend was closed")
  end
end

return M
