--- instances -- the instances of a supervisor, and what is looked up about them: who there is, who
-- depends on whom, which edges a cycle forbids.
local core = require "orrery.core"
local health = require "orrery.supervisor.health"
local outputs = require "orrery.supervisor.outputs"
local replicas = require "orrery.replicas"
local values = require "orrery.template.values"

local M = {}

local NONE = {}

--- The `tags` or `meta` (`key`) of an instance as its record has them: as they were rendered when
-- it started. Before that nil, where a template is in them.
function M.said(i, key)
  local own = i.service[key] or NONE
  if i[key] then return i[key] end
  for _, item in pairs(own) do
    if type(item) == "string" and item:find("[$%%]{") then return nil end
  end
  return own
end

--- What a reload changed without a restart is not as it was rendered.
local function forget_rendered(i, service)
  for _, key in ipairs { "tags", "meta" } do
    if i.service and not values.equal(i.service[key], service[key]) then i[key] = nil end
  end
end

--- What an instance takes from its service. Copy `copy` of it is meant (1 is the first).
function M.adopt(i, stack, service, copy)
  forget_rendered(i, service)
  i.service, i.copy, i.oneshot, i.restart = service, copy, service.oneshot, service.restart
  i.on_dependency_failure = service.onDependencyFailure
  i.budget = service.dependencyTimeout or stack.coordination.dependencyTimeout
  i.address, i.port = service.address, replicas.port(service, copy)
  i.ports, i.dirs = replicas.ports(service, copy), replicas.dirs(service, copy)
  i.outputs = service.oneshot and (i.outputs or outputs.load(stack, service.name, copy)) or nil
  i.unchecked = not health.has_ready(nil, i) -- running is all that can be asked of it
  return i
end

--- A stopped instance.
function M.new(stack, service, copy, order)
  return M.adopt({ id = service.instances[copy], order = order, desired = "down",
    state = "stopped", health = "unknown", reason = "", since = core.time.now(), generation = 0,
    failures = 0, restarts = 0, failed_at = {}, checks = {}, files = {} }, stack, service, copy)
end

local function dependents_of(services)
  local dependents = {}
  for name, service in pairs(services) do
    for dependency in pairs(service.dependencies) do
      dependents[dependency] = dependents[dependency] or {}
      table.insert(dependents[dependency], name)
    end
  end
  return dependents
end

--- What follows from the stack and its plan: `dependents` and `dropped`.
function M.index(sup)
  sup.dependents, sup.dropped = dependents_of(sup.stack.services), {}
  for _, edge in ipairs(sup.plan.dropped) do
    sup.dropped[edge.from] = sup.dropped[edge.from] or {}
    sup.dropped[edge.from][edge.to] = true
  end
end

local AT_REST = { stopped = true, failed = true, done = true, backoff = true, waiting = true,
  blocked = true }

--- Whether `other`, which depends on i, was told to stop, starts after it and is still there. (In a
-- cycle of circular edges the one that starts last stops first: to wait for all would be to wait
-- for each other.)
local function holds(other, i)
  local leaves = other.desired == "down"
    or (other.planned and (other.again or other.state == "stopping"))
  return leaves and other.order > i.order and not AT_REST[other.state]
end

--- Who must have stopped before `i` may; by id.
function M.holders(sup, i)
  local list = {}
  for _, name in ipairs(sup.dependents[i.service.name] or {}) do
    for _, other in ipairs(sup.by_service[name] or {}) do
      if holds(other, i) then list[#list + 1] = other end
    end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

--- Whether nobody holds `i` up.
function M.may_stop(sup, i)
  for _, name in ipairs(sup.dependents[i.service.name] or {}) do
    for _, other in ipairs(sup.by_service[name] or {}) do
      if holds(other, i) then return false end
    end
  end
  return true
end

--- Adds an instance to what there is.
function M.add(sup, i)
  table.insert(sup.instances, i)
  local of_service = sup.by_service[i.service.name] or {}
  table.insert(of_service, i)
  sup.by_service[i.service.name], sup.by_id[i.id] = of_service, i
end

--- Makes the instances of the whole plan.
function M.build(sup)
  for order, name in ipairs(sup.plan.order) do
    local service = sup.stack.services[name]
    sup.by_service[name] = {}
    for copy in ipairs(service.instances) do M.add(sup, M.new(sup.stack, service, copy, order)) end
  end
end

return M
