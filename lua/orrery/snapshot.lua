--- snapshot -- the whole state as one plain table: what /v1/state answers. Pure.
local array = require("orrery.core").json.array -- an empty list is [], not {}
local registrar = require "orrery.registrar"
local groups = require "orrery.supervisor.groups"

local M = {}

local function flags_of(i)
  local flags = array({})
  for _, flag in ipairs({ "degraded", "impaired", "foreign", "pending" }) do
    if i[flag] then flags[#flags + 1] = flag end
  end
  return flags
end

--- The reason of its state; what waits says what for.
local function reason_of(i)
  local waits = i.state == "waiting" or i.state == "blocked"
  return waits and i.gate_why or i.reason
end

local function instance_view(i)
  local checks = {}
  for name, check in pairs(i.checks) do
    checks[name] = { state = check.state, message = check.message, latency = check.latency,
      role = check.role }
  end
  return {
    id = i.id, pid = i.pid, address = i.address, port = i.port, url = i.url,
    desired = i.desired, state = i.state, health = i.health, flags = flags_of(i),
    reason = reason_of(i), message = i.health_message or i.status, status = i.status,
    lacks = i.impaired or i.degraded, since = i.since, restarts = i.restarts,
    exit = i.exit and i.exit.message, checks = checks,
  }
end

local RANK = { failed = 1, blocked = 2, backoff = 3, stopping = 4, starting = 5, waiting = 6,
  stopped = 7, running = 8, done = 9 }

--- The instance that says most about its service: the one furthest from running.
local function worst(instances)
  local found = instances[1]
  for _, i in ipairs(instances) do
    if RANK[i.state] < RANK[found.state] then found = i end
  end
  return found
end

--- Whether an instance will not change by waiting a little longer; and whether it is as it should
-- be.
local function rest(i, checks_on)
  if i.desired == "down" then return i.state == "stopped" or i.state == "failed", true end
  if i.again or i.refreshing or i.swapped then return false, false end
  if i.state == "running" then
    if not checks_on or i.unchecked or i.health == "passing" then
      return not i.next_verify, true -- the other side of a circular edge may still come
    end
    return i.health == "failing" or i.health == "flapping", false
  end
  if i.state == "done" then return true, true end
  if i.state == "stopped" then return i.held ~= nil, false end
  if i.state == "backoff" or i.state == "waiting" or i.state == "starting" then
    return i.failures >= 3 and i.state ~= "waiting", false
  end
  return i.state == "failed" or i.state == "blocked", false
end

--- The services in start order, then those that a reload removed and that still stop.
local function shown_names(sup)
  local names, leaving = {}, {}
  for _, name in ipairs(sup.plan.order) do names[#names + 1] = name end
  for name in pairs(sup.by_service) do
    if not sup.stack.services[name] then leaving[#leaving + 1] = name end
  end
  table.sort(leaving)
  for _, name in ipairs(leaving) do names[#names + 1] = name end
  return names
end

--- The discovered groups that a service depends on; nil if there is none.
local function groups_of(sup, service)
  local list = array({})
  for name, dependency in pairs(service.dependencies) do
    if dependency.discover then
      local group = sup.groups[name]
      local met, why = groups.met(name, dependency, group, sup.checks_on)
      local found = array({})
      for n, record in ipairs(groups.members(dependency, group and group.records, sup.checks_on)) do
        found[n] = record.id
      end
      list[#list + 1] = { name = name, type = dependency.type, min = dependency.min or 1,
        tag = dependency.tag, found = found, met = met, reason = why,
        problem = group and group.problem }
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return #list > 0 and list or nil
end

--- Which agent of which stack this is, and how far it has come: what /v1/agent answers.
function M.head(sup, agent)
  return { epoch = agent.epoch, seq = sup.log.seq, stack = sup.stack.name, file = sup.stack.file,
    node = sup.stack.node, agent = { pid = agent.pid, guard = agent.guard,
      version = agent.version, startedAt = agent.started_at, stopping = sup.ending } }
end

--- Everything about the stack and its agent.
function M.take(sup, agent)
  local settled, good = true, true
  local services = array({})
  for _, name in ipairs(shown_names(sup)) do
    local instances = sup.by_service[name]
    local service = sup.stack.services[name] or instances[1].service
    local views = array({})
    for _, i in ipairs(instances) do
      local view, resting, fine = instance_view(i), rest(i, sup.checks_on)
      resting = resting and not (agent.registrar and registrar.is_busy(agent.registrar, i.id))
      view.settled, view.good = resting, fine
      views[#views + 1] = view
      settled, good = settled and resting, good and fine
    end
    local i = worst(instances)
    local dependencies = array({})
    for dependency in pairs(service.dependencies) do
      dependencies[#dependencies + 1] = dependency
    end
    table.sort(dependencies)
    services[#services + 1] = {
      name = name, type = service.type, external = service.external or false,
      wave = sup.plan.services[name] and sup.plan.services[name].wave, desired = i.desired,
      state = i.state, health = i.health, flags = flags_of(i), reason = reason_of(i),
      message = i.health_message, url = i.url, dependencies = dependencies,
      groups = groups_of(sup, service), instances = views,
    }
  end
  local state = M.head(sup, agent)
  state.settled, state.good, state.services = settled, good, services
  return state
end

return M
