--- mkDependencyManagement -- the order in which services start, and the checks between them.
local common = require "orrery.seed.common"
local mkDependencyGraph = require "orrery.seed.mkDependencyGraph"
local mkHealthCheck = require "orrery.seed.mkHealthCheck"
local suggest = require "orrery.suggest"
local task = require "orrery.public.task"

local ORDERS = { "dependency-first", "parallel", "manual" }
local STRATEGIES = { "sequential", "parallel" }
local KNOWN = { services = {}, dependencyGraph = {}, startupOrder = "dependency-first",
  startupStrategy = "sequential", healthChecks = {} }

--- The services, with the dependencies that `dependencyGraph` (name = names) and the checks that
-- `healthChecks` (name = check) say apart from them.
local function joined(args)
  local services = {}
  for name, service in pairs(args.services) do
    services[name] = {}
    for key, value in pairs(service) do services[name][key] = value end
    services[name].healthCheck = args.healthChecks[name] or service.healthCheck
  end
  for name, more in pairs(args.dependencyGraph) do
    services[name] = services[name] or {}
    local list = common.each_dependency(services[name].dependencies)
    for _, dependency in ipairs(common.each_dependency(more)) do list[#list + 1] = dependency end
    services[name].dependencies = list
  end
  return services
end

local function check_all(edges)
  local checks, runs = {}, {}
  for i, edge in ipairs(edges) do
    runs[i] = function()
      local ok, message = mkHealthCheck(edge.dependency).run()
      checks[edge.to] = { ok = ok or false, type = edge.dependency.type, message = message }
      return true
    end
  end
  assert(task.all(runs))
  return checks
end

return function(given)
  local args = common.arguments("mkDependencyManagement", given, KNOWN)
  common.one_of("startup order", "orders", args.startupOrder, ORDERS)
  common.one_of("startup strategy", "strategies", args.startupStrategy, STRATEGIES)
  local services = joined(args)
  local graph = mkDependencyGraph(services)
  local result = { services = services, dependencyGraph = graph, startupOrder = args.startupOrder,
    startupStrategy = args.startupStrategy, healthChecks = args.healthChecks,
    resolveDependencies = graph.resolveDependencies }

  function result.calculateStartupOrder()
    if args.startupOrder == "dependency-first" then return graph.topologicalSort() end
    return args.startupOrder == "parallel" and suggest.names(services) or {}
  end

  --- What starts together: one at a time, or each wave of the graph.
  function result.waves()
    local plan, message, code = graph.solve()
    if not plan then return nil, message, code end
    if args.startupStrategy == "parallel" then return plan.waves end
    local waves = {}
    for i, name in ipairs(plan.order) do waves[i] = { name } end
    return waves
  end

  --- Runs the checks of what a service depends on. Waits.
  function result.coordinateHealthChecks(name)
    local checks, healthy = check_all(graph.getDependencies(name)), true
    for _, check in pairs(checks) do
      local needed = check.type == "required" or check.type == "circular"
      healthy = healthy and (check.ok or not needed)
    end
    return { dependenciesHealthy = healthy, checks = checks }
  end

  return result
end
