--- gate -- what an instance's dependencies allow. Pure: reads instances, changes nothing.
--
-- A dependency is met when any one instance of that service is healthy (or running, where health
-- checks are off; done, for a oneshot; there at all, for an external service that has no check).
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

--- What the dependencies of `i` say. `of(name)` gives a service's instances; `dropped[name]` is
-- true for an optional or soft edge that a cycle forbids; `waited` is how long i has waited, in
-- seconds. The answer's `next`: how many seconds of waiting make the next budget over.
function M.look(i, of, dropped, checks_on, waited)
  local gate = { open = true, waits = {} }
  local late = false
  for name, dependency in pairs(i.service.dependencies) do
    local met, why = service_serves(of(name), checks_on)
    local kind = dependency.type
    local budget = dependency.timeout or i.budget
    local over = waited >= budget
    if not met then
      if not over then gate.next = math.min(gate.next or budget, budget) end
      late = late or (over and kind == "required")
      if kind == "required" then
        gate.open, gate.impaired = false, why
        gate.waits[#gate.waits + 1] = why
        if not planned(of(name)) then gate.lost = ("%s went down: %s"):format(name, why) end
      elseif kind == "circular" then
        gate.impaired = why
      elseif kind == "optional" then
        gate.degraded = why
        if not over and not dropped[name] then
          gate.open = false
          gate.waits[#gate.waits + 1] = why
        end
      end
    end
  end
  table.sort(gate.waits)
  gate.why = gate.degraded
  if not gate.open then
    gate.why = "waiting: " .. table.concat(gate.waits, "; ")
    gate.blocked = late
  end
  return gate
end

return M
