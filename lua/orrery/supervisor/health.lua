--- health -- the checks of an instance: opened when it starts, closed when it ends, and put
-- together into the one health that its dependents wait for.
local core = require "orrery.core"
local luacheck = require "orrery.luacheck"
local suggest = require "orrery.suggest"

local M = {}

--- Whether instance `i` has a check that decides when it is ready.
function M.has_ready(_, i)
  for _, check in pairs(i.service.healthChecks or {}) do
    if (check.role or "ready") == "ready" then return true end
  end
  return false
end

--- A copy of `spec` with what the schedule needs: until it first passes, an instance has its start
-- budget, in which failures do not count.
local function with_schedule(spec, budget) -- budget 0: it runs already
  local copy = {}
  for key, value in pairs(spec) do copy[key] = value end
  copy.role = nil
  copy.startPeriod = copy.startPeriod or budget
  return copy
end

local function watch(handle, name, tell)
  while true do
    local verdict = handle:next()
    if not verdict then return end
    tell({ kind = "check", name = name, state = verdict.state, message = verdict.message,
      latency = verdict.latency })
  end
end

local function start(spec, i)
  if luacheck.is(spec) then return luacheck.start(spec, i) end
  return core.check.start(spec)
end

--- One check of an instance. What it was rendered to may make no check: then it fails for good.
local function open_one(i, name, spec, tell, budget)
  local check = { role = spec.role or "ready", state = "unknown", spec = spec }
  local ok, handle = pcall(start, with_schedule(spec, budget), i)
  if ok then
    check.handle, check.watcher = handle, core.task.spawn(watch, handle, name, tell)
  else
    tell({ kind = "check", name = name, state = "failing", message = tostring(handle) })
  end
  return check
end

--- Starts the rendered checks `specs` of `i`; each transition becomes a fact for `tell`.
function M.open(_, i, specs, tell)
  for name, spec in pairs(specs or {}) do
    i.checks[name] = open_one(i, name, spec, tell, i.budget)
  end
end

local function close_one(check)
  if not check.handle then return end
  check.watcher:cancel()
  check.handle:close()
end

--- Ends all checks of `i`.
function M.close(i)
  for _, check in pairs(i.checks) do close_one(check) end
  i.checks = {}
end

--- Puts the checks `specs` in place of those of `i`, which runs. What a check of the same name said
-- stands until the new one has a verdict.
function M.swap(_, i, specs, tell)
  local before = i.checks
  M.close(i)
  local budget = i.state == "starting" and i.budget or 0
  for name, spec in pairs(specs or {}) do
    local check, old = open_one(i, name, spec, tell, budget), before[name]
    if old then check.state, check.message = old.state, old.message end
    i.checks[name] = check
  end
end

--- Begins the live checks of `i`, which runs, anew: what they said before does not count. They fail
-- after as many tries, an interval apart, as in quiet times.
function M.renew_live(i, tell)
  i.live = nil
  for name, check in pairs(i.checks) do
    if check.role == "live" and check.handle then
      local spec = {}
      for key, value in pairs(check.spec) do spec[key] = value end
      spec.backoff, spec.startPeriod = "constant", 0
      close_one(check)
      i.checks[name] = open_one(i, name, spec, tell, 0)
    end
  end
end

--- The health of `i` and the words of the check that decided it.
function M.combine(i)
  local worst, message = "passing", nil
  local rank = { passing = 0, unknown = 1, flapping = 2, failing = 3 }
  local any = false
  for _, name in ipairs(suggest.names(i.checks)) do
    local check = i.checks[name]
    if check.role == "ready" then
      any = true
      if rank[check.state] > rank[worst] then worst, message = check.state, check.message end
      message = message or check.message
    end
  end
  return any and worst or "unknown", message
end

return M
