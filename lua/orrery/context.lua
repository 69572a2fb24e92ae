--- context -- what the strings of a service are rendered with: its instance, the secrets, and the
-- services it can name.
local groups = require "orrery.supervisor.groups"
local instances_of = require "orrery.supervisor.instances"

local M = {}

--- The record of an instance of our own stack, known from its configuration before it runs.
local function own_record(stack, i)
  local service = i.service
  return { service = service.name, id = i.id, node = stack.node, address = i.address, port = i.port,
    scheme = service.scheme, did = i.did, tags = instances_of.said(i, "tags"),
    meta = instances_of.said(i, "meta"),
    status = i.health, source = "stack", outputs = i.outputs }
end

--- What discovery knows of a service of another stack, the same through one rendering. Most stacks
-- name none, so nothing is watched before it is named; it waits at the first time only. That nobody
-- can tell is not that there is none.
local function foreign_lookup(discovery)
  local found = {}
  return function(name)
    if found[name] or not discovery then return found[name] or {} end
    local records, message = discovery:known(name)
    found[name] = records
    return records, message
  end
end

--- Whether others may run a service of ours, too: the same stack, or one like it, on other nodes.
local function is_shared(service)
  return service and not (service.external or service.embedded or service.oneshot)
end

--- Adds what discovery knows of a service on other nodes. Of this node we know ourselves, better
-- and sooner. While discovery does not answer there are ours alone.
local function add_others(records, found, node)
  local ours = {}
  for _, own in ipairs(records) do
    ours[("%s %s"):format(own.address, own.port)] = true
  end
  for _, record in ipairs(found or {}) do
    local is_ours = record.node == node or ours[("%s %s"):format(record.address, record.port)]
    if not is_ours then records[#records + 1] = record end
  end
  return records
end

--- The render context of instance `i`. Its lookup(name, all) (records | nil, message; with `all`
-- also those on other nodes) and reveal() may wait.
function M.of(stack, supervisor, i, discovery, secrets)
  local foreign = foreign_lookup(discovery)
  i.chosen = i.chosen or {} -- it stays with the instances of others that it was given
  local context = { stack = stack, service = i.service, instance = i.id, port = i.port,
    address = i.address, node = stack.node, ports = i.ports,
    dirs = i.dirs or i.service.dirs, chosen = i.chosen }

  function context.lookup(name, all)
    local instances = supervisor.by_service[name]
    if not instances then
      local dependency = i.service.dependencies[name]
      local records, message = foreign(name)
      if not (records and dependency and dependency.discover) then return records, message end
      return groups.members(dependency, records, supervisor.checks_on)
    end
    local records = {}
    for _, other in ipairs(instances) do records[#records + 1] = own_record(stack, other) end
    if not (all and is_shared(stack.services[name])) then return records end
    return add_others(records, foreign(name), stack.node)
  end

  function context.reveal(secret, service, variable)
    return secrets:resolve(secret, service, variable)
  end

  return context
end

--- What stands in for secrets where people look.
M.HIDDEN = { resolve = function() return "***" end }

return M
