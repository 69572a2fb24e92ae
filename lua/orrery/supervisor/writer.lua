--- writer -- the only place that writes an instance's state, health and flags. Each change is an
-- event with its reason. It runs in the supervisor's task.
local core = require "orrery.core"
local events = require "orrery.events"

local M = {}

--- A restart that was asked for has not worked, or has: it excuses nothing any more.
local FINAL = { failed = true, done = true, backoff = true }

local HEALTHY_AGAIN = 60 -- seconds

--- Adds an event of kind `kind` about `i`.
function M.emit(sup, i, kind, fields)
  fields.type, fields.service, fields.instance = kind, i.service.name, i.id
  events.add(sup.log, fields)
end

--- It serves: a restart that was asked for is over.
local function begin_healthy(i)
  if i.again then return end -- it is about to stop
  i.planned = nil
  i.healthy_since = i.healthy_since or core.time.monotonic()
end

--- It serves no more. What served long enough begins its count of failures anew.
function M.end_healthy(i)
  local since = i.healthy_since
  if since and core.time.monotonic() - since >= HEALTHY_AGAIN then i.failures = 0 end
  i.healthy_since = nil
end

function M.set_health(sup, i, value, message)
  i.health_message = message
  if i.health == value then return end
  local before = i.health
  i.health = value
  if value == "passing" then begin_healthy(i) else M.end_healthy(i) end
  M.emit(sup, i, "health", { from = before, to = value, reason = message })
  if sup.on_change then sup.on_change(i) end
end

--- Marks an instance, and all whose gate or whose leave to stop depends on it, for the next look.
function M.touch_around(sup, i)
  sup.touched[i] = true
  for name in pairs(i.service.dependencies) do
    for _, other in ipairs(sup.by_service[name] or {}) do sup.touched[other] = true end
  end
  for _, name in ipairs(sup.dependents[i.service.name] or {}) do
    for _, other in ipairs(sup.by_service[name] or {}) do sup.touched[other] = true end
  end
end

function M.set_flag(sup, i, flag, why)
  local before = i[flag]
  i[flag] = why or nil
  if (before and true or false) == (why and true or false) then return end
  M.emit(sup, i, "flag", { flag = flag, to = why and "set" or "cleared", reason = why or "" })
end

--- The only writer of an instance's state.
function M.set_state(sup, i, transition)
  local before = i.state
  i.state, i.reason, i.since = transition.to, transition.reason, core.time.now()
  if FINAL[i.state] then i.planned = nil end
  if i.state == "running" and (i.unchecked or not sup.checks_on) then begin_healthy(i) end
  M.emit(sup, i, "state", { from = before, to = i.state, reason = i.reason })
  if i.state == "stopped" then
    M.set_flag(sup, i, "pending", nil)
    M.set_flag(sup, i, "foreign", nil)
  end
  M.touch_around(sup, i)
  if sup.on_change then sup.on_change(i) end
end

--- Hands a fact about instance `id` to the supervisor; may be called from any task.
local function tell(sup, id, generation, fact)
  fact.id, fact.generation = id, generation
  sup.queue:push(fact)
end

function M.teller(sup, i)
  local id, generation = i.id, i.generation
  return function(fact) tell(sup, id, generation, fact) end
end

return M
