--- gate -- what an instance's dependencies allow. Pure: reads instances, changes nothing.
--
-- A dependency is met when any one instance of that service is healthy (or running, where health
-- checks are off; done, for a oneshot; there at all, for an external service that has no check);
-- one that is discovered, when discovery has enough passing instances (groups.lua).
local groups = require "orrery.supervisor.groups"

local M = {}

--- Whether one instance serves those who depend on it; else why not.
function M.serves(i, checks_on)
  if i.state == "done" and i.oneshot then return true end
  if i.state ~= "running" then
    return false, ("%s is %s%s"):format(i.service.name, i.state,
      i.reason and i.reason ~= "" and (" (" .. i.reason .. ")") or "")
  end
  if i.again then return false, i.service.name .. " is about to be restarted" end
  if not checks_on or i.health == "passing" then return true end
  if i.unchecked or (i.service.readyWhen == "started" and i.health == "unknown") then
    return true
  end
  return false, ("%s is running but %s%s"):format(i.service.name, i.health,
    i.health_message and (": " .. i.health_message) or "")
end

local function service_serves(instances, checks_on)
  local why
  for _, i in ipairs(instances) do
    local ok, reason = M.serves(i, checks_on)
    if ok then return true end
    why = why or reason
  end
  return false, why or "it has no instance on this node"
end

local function planned(instances)
  for _, i in ipairs(instances) do if i.planned then return true end end
  return false
end

--- Whether the dependency `name` is met; else why not, and whether that is for a planned restart.
-- `view`: of(name) gives a service's instances, groups what discovery has, checks_on.
function M.met(view, name, dependency)
  if dependency.discover then
    return groups.met(name, dependency, view.groups[name], view.checks_on)
  end
  local instances = view.of(name)
  local ok, why = service_serves(instances, view.checks_on)
  return ok, why, not ok and planned(instances)
end

-- ---- what an unmet dependency means, by its type ----

local function hold(gate, wait)
  gate.open = false
  gate.waits[#gate.waits + 1] = wait.why
end

local function earlier(a, b) return a and math.min(a, b) or b end

local unmet = {}

function unmet.required(gate, wait)
  hold(gate, wait)
  gate.late = gate.late or wait.waited >= wait.budget
  gate.impaired, gate.excuse = wait.why, wait.why
  if not wait.planned then gate.lost = ("%s went down: %s"):format(wait.name, wait.why) end
end

function unmet.optional(gate, wait)
  gate.degraded = wait.why
  if wait.waited < wait.budget and not wait.dropped then hold(gate, wait) end
end

function unmet.soft() end

--- Both sides start together, so it never holds a start back. Once it was there in this life of
-- the dependent it is as required; until then it may still come, within the budget.
function unmet.circular(gate, wait)
  gate.excuse = wait.why
  if wait.verified then
    if not wait.planned then gate.lost = ("%s went down: %s"):format(wait.name, wait.why) end
  elseif wait.ran < wait.budget then
    gate.verify = earlier(gate.verify, wait.budget)
    return
  end
  gate.impaired = wait.why
end

--- What the dependencies of `i` say. `view` is that of met(), with dropped (names of the optional
-- and soft edges that a cycle forbids), waited and ran (seconds that i has waited, and that it has
-- run). The answer: open, blocked, why, degraded, impaired, lost (a loss that onDependencyFailure
-- answers), excuse (a reason not to blame i for what its live check says), next and verify (how
-- many seconds of waiting, or of running, make the next budget over), met (names).
function M.look(i, view)
  local gate = { open = true, waits = {}, met = {} }
  if not next(i.service.dependencies) then return gate end
  for name, dependency in pairs(i.service.dependencies) do
    local ok, why, is_planned = M.met(view, name, dependency)
    local budget = dependency.timeout or i.budget
    if ok then
      gate.met[name] = true
    else
      if view.waited < budget then gate.next = earlier(gate.next, budget) end
      unmet[dependency.type](gate, { name = name, why = why, planned = is_planned, budget = budget,
        waited = view.waited, ran = view.ran, dropped = view.dropped[name],
        verified = i.verified and i.verified[name] })
    end
  end
  table.sort(gate.waits)
  gate.why = gate.degraded
  if not gate.open then
    gate.why = "waiting: " .. table.concat(gate.waits, "; ")
    gate.blocked = gate.late or false
  end
  return gate
end

return M
