--- reload -- takes over a changed stack, doing only what differs. All but prepare() runs in the
-- supervisor's task.
--
-- An instance that must restart keeps its old service until it has stopped (`successor` waits
-- meanwhile). One whose service is gone is `leaving`: it stops like any other, and is then
-- forgotten.
local core = require "orrery.core"
local events = require "orrery.events"
local files = require "orrery.supervisor.files"
local instances_of = require "orrery.supervisor.instances"

local M = {}

local LAST = 1000000 -- leaving instances come before all others, so that these stop first

local AT_REST = { stopped = true, waiting = true, blocked = true, failed = true, done = true,
  backoff = true }

--- What a new stack needs: instances for what is new or changed, whose ports are still to be
-- assigned. Reads `sup`, changes nothing.
function M.prepare(sup, stack, plan, diff)
  local change = { stack = stack, plan = plan, diff = diff, fresh = {}, list = {} }
  for order, name in ipairs(plan.order) do
    local service = stack.services[name]
    for copy, id in ipairs(service.instances) do
      local before = sup.by_id[id]
      local i = instances_of.new(stack, service, copy, order)
      if before and before.service.port == service.port then i.port = before.port end
      change.fresh[id] = i
      change.list[#change.list + 1] = i
    end
  end
  return change
end

local function adopt(i, fresh)
  instances_of.adopt(i, fresh.stack, fresh.service, fresh.copy)
  i.port = fresh.port
end

--- Gives an instance that starts anew what a reload brought meanwhile.
function M.succeed(i)
  if not i.successor then return end
  adopt(i, i.successor)
  i.successor = nil
end

local function leave(sup, i)
  sup.leaving[i] = true
  i.leaving, i.desired = true, "down"
  i.order = i.order - LAST
end

local function restart(i, fresh)
  if AT_REST[i.state] then
    adopt(i, fresh)
    i.failed_at, i.failures = {}, 0
    i.again = (i.state == "failed" or i.state == "backoff" or i.state == "done") or nil
    return
  end
  i.successor = fresh
  if i.desired == "up" and i.state ~= "stopping" then i.again, i.planned = true, true end
end

local actions = {}

function actions.nothing(_, i, fresh) adopt(i, fresh) end

function actions.checks(sup, i, fresh, tell)
  adopt(i, fresh)
  if not i.spawned or AT_REST[i.state] or i.state == "stopping" then return end
  if not sup.checks_on then return end
  i.planned, i.refreshing = true, true
  sup.driver.checks(i, tell)
end

--- Its files are rendered again like all others, in apply().
function actions.files(_, i, fresh)
  adopt(i, fresh)
end

function actions.restart(_, i, fresh) restart(i, fresh) end

local function take_over(sup, i, fresh, action, teller)
  i.order = fresh.order
  for _, known in pairs(i.files) do known.bad = nil end
  fresh.stack = sup.stack
  if i.leaving then
    sup.leaving[i] = nil
    i.leaving, i.desired = nil, "up"
    return restart(i, fresh)
  end
  if not action and i.state ~= "stopping" and not i.successor then
    i.service = fresh.service
  else
    actions[action or "restart"](sup, i, fresh, teller(sup, i))
  end
end

local function take_service(sup, change, name, teller)
  local service, found = change.stack.services[name], change.diff.by_name[name]
  local before = sup.by_service[name] and sup.by_service[name][1]
  local wanted = not before or before.leaving or before.desired == "up"
  local known = {}
  for _, id in ipairs(service.instances) do
    known[id] = true
    local i = sup.by_id[id]
    if i then
      take_over(sup, i, change.fresh[id], found and found.action, teller)
    else
      instances_of.add(sup, change.fresh[id])
      change.fresh[id].desired = wanted and "up" or "down"
    end
  end
  for _, i in ipairs(sup.by_service[name]) do
    if not known[i.id] and not i.leaving then leave(sup, i) end
  end
  table.sort(sup.by_service[name], function(a, b) return a.copy < b.copy end)
end

--- The edges that leaving services still have: they stop in their order.
local function keep_edges(sup, old, removed)
  for _, name in ipairs(removed) do
    for dependency in pairs(old[name].dependencies) do
      sup.dependents[dependency] = sup.dependents[dependency] or {}
      table.insert(sup.dependents[dependency], name)
    end
  end
end

--- Has the files of all that runs rendered again, as somebody asked for it. Returns the names of
-- the services that have files.
local function renew_files(sup)
  local names, seen = core.json.array({}), {}
  for _, i in ipairs(sup.instances) do
    local name = i.service.name
    if i.spawned and not i.leaving then
      files.stale(sup, i, nil, true)
      if next(i.service.config or {}) and not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  return names
end

--- Takes over what prepare() made. `teller(sup, i)` makes the function by which the driver tells
-- facts. Returns the names of the services that it concerns; and notes in `change` those whose
-- `files` are rendered again, and the number `seq` of the last event before that.
function M.apply(sup, change, teller)
  local diff, old = change.diff, sup.stack.services
  sup.stack, sup.plan, sup.driver.stack = change.stack, change.plan, change.stack
  instances_of.index(sup)
  keep_edges(sup, old, diff.removed)
  for _, name in ipairs(diff.removed) do
    for _, i in ipairs(sup.by_service[name]) do if not i.leaving then leave(sup, i) end end
  end
  for _, name in ipairs(change.plan.order) do take_service(sup, change, name, teller) end
  for _, i in ipairs(sup.instances) do
    sup.touched[i] = true
    if sup.on_change and not i.leaving then sup.on_change(i) end
  end
  change.seq, change.files = sup.log.seq, renew_files(sup)
  local names = core.json.array({})
  for _, list in ipairs({ diff.added, diff.removed }) do
    for _, name in ipairs(list) do names[#names + 1] = name end
  end
  for _, found in ipairs(diff.changed) do names[#names + 1] = found.service end
  events.add(sup.log, { type = "reload", to = "taken over",
    reason = ("%d added, %d removed, %d changed"):format(#diff.added, #diff.removed,
      #diff.changed) })
  return names
end

local function without(list, i)
  local kept = {}
  for _, other in ipairs(list) do if other ~= i then kept[#kept + 1] = other end end
  return kept
end

--- Forgets the leaving instances that have stopped.
function M.sweep(sup)
  if not next(sup.leaving) then return end
  local gone = {}
  for i in pairs(sup.leaving) do
    if i.state == "stopped" then gone[#gone + 1] = i end
  end
  table.sort(gone, function(a, b) return a.id < b.id end)
  for _, i in ipairs(gone) do
    local name = i.service.name
    sup.instances = without(sup.instances, i)
    sup.by_id[i.id], sup.leaving[i] = nil, nil
    sup.by_service[name] = without(sup.by_service[name], i)
    if #sup.by_service[name] == 0 and not sup.stack.services[name] then
      sup.by_service[name] = nil
    end
    events.add(sup.log, { type = "reload", service = name, instance = i.id, to = "removed" })
  end
end

return M
