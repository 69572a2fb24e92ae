--- mkDependencyGraph -- the graph of services, over the engine's: dependencies come first, each
-- once, however many share it.
local common = require "orrery.seed.common"
local core = require "orrery.core"
local mkDependency = require "orrery.seed.mkDependency"
local suggest = require "orrery.suggest"

local ALLOWED = { name = true, type = true, healthCheck = true, timeout = true, retries = true,
  backoff = true, config = true }

local function dependency_of(services, fields)
  local given = { service = services[fields.name] }
  for key, value in pairs(fields) do if ALLOWED[key] then given[key] = value end end
  return mkDependency(given)
end

local function edges_of(services)
  local edges = {}
  for _, name in ipairs(suggest.names(services)) do
    if type(services[name]) ~= "table" then
      error(("mkDependencyGraph: %s: expected a table"):format(name), 3)
    end
    for _, fields in ipairs(common.each_dependency(services[name].dependencies)) do
      edges[#edges + 1] = { from = name, to = fields.name,
        dependency = dependency_of(services, fields) }
    end
  end
  return edges
end

--- All names, also of what is depended on but is no service here.
local function nodes_of(services, edges)
  local seen = {}
  for name in pairs(services) do seen[name] = true end
  for _, edge in ipairs(edges) do seen[edge.to] = true end
  return suggest.names(seen)
end

local function picked(edges, key)
  return function(name)
    local list = {}
    for _, edge in ipairs(edges) do if edge[key] == name then list[#list + 1] = edge end end
    return list
  end
end

return function(services)
  if type(services) ~= "table" then
    error("mkDependencyGraph: expected a table of services by name", 2)
  end
  local edges = edges_of(services)
  local spec = { nodes = nodes_of(services, edges), edges = {} }
  for i, edge in ipairs(edges) do
    spec.edges[i] = { from = edge.from, to = edge.to, type = edge.dependency.type }
  end
  local graph = { nodes = spec.nodes, edges = edges, getDependencies = picked(edges, "from"),
    getDependents = picked(edges, "to") }

  --- The whole plan of orrery.graph.
  function graph.solve() return core.graph.solve(spec) end

  function graph.validate()
    local plan, message, code = core.graph.solve(spec)
    if plan then return true end
    return nil, message, code
  end

  function graph.topologicalSort()
    local plan, message, code = core.graph.solve(spec)
    if plan then return plan.order end
    return nil, message, code
  end

  --- All that a service needs, directly or not, in the order of their start.
  function graph.resolveDependencies(name)
    local needed, message, code = core.graph.needs(spec, { name },
      { "required", "optional", "soft", "circular" })
    if not needed then return nil, message, code end
    local wanted = {}
    for _, other in ipairs(needed) do wanted[other] = other ~= name end
    local order = graph.topologicalSort() or needed
    local list = {}
    for _, other in ipairs(order) do if wanted[other] then list[#list + 1] = other end end
    return list
  end

  return graph
end
