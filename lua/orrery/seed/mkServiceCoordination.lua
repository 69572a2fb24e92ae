--- mkServiceCoordination -- who decides, and what waits for what.
local common = require "orrery.seed.common"
local mkDependency = require "orrery.seed.mkDependency"
local mkHealthCheck = require "orrery.seed.mkHealthCheck"
local plugin = require "orrery.plugin"
local task = require "orrery.public.task"
local time = require("orrery.core").time

local STRATEGIES = { "hub-spoke", "leader-follower", "mesh", "peer-to-peer" }

-- What each strategy is told, by its name in `config`; and its defaults.
local CONFIG = {
  ["hub-spoke"] = { "hub", { service = { "hubService", "coordinator" },
    failover = { "hubFailover", {} }, heartbeatInterval = { "heartbeatInterval", 10 } } },
  ["leader-follower"] = { "leaderElection", { lockKey = { "lockKey", "/atproto/leader" },
    sessionTtl = { "sessionTtl", 15 }, renewInterval = { "renewInterval", 5 } } },
  ["peer-to-peer"] = { "gossip", { port = { "gossipPort", 7946 }, seedNodes = { "seedNodes", {} },
    encryptionKey = { "encryptionKey" } } },
  mesh = { "mesh", { fullMesh = { "fullMesh", false }, routingTable = { "routingTable", {} },
    convergenceTimeout = { "convergenceTimeout", 30 } } },
}

local function known()
  local result = { strategy = "hub-spoke", services = {}, dependencies = {}, loadBalancing = {},
    enableHealthChecks = true, dependencyTimeout = 60 }
  for _, config in pairs(CONFIG) do
    for _, argument in pairs(config[2]) do result[argument[1]] = common.NONE end
  end
  return result
end

local function config_of(args)
  local config = CONFIG[args.strategy]
  if not config then return {} end
  local result = {}
  for name, argument in pairs(config[2]) do
    local given = args[argument[1]]
    if given == nil then given = argument[2] end
    result[name] = given
  end
  return { [config[1]] = result }
end

--- The dependencies of a service, those of `dependencies` and its own.
local function dependencies_of(args, name)
  local list, service = {}, args.services[name] or {}
  for _, from in ipairs { args.dependencies[name] or {}, service.dependencies or {} } do
    for _, fields in ipairs(common.each_dependency(from)) do
      fields.service = args.services[fields.name]
      list[#list + 1] = mkDependency(fields)
    end
  end
  return list
end

-- ---- waiting ----

--- Until it passes, or `seconds` are over.
local function await(dependency, seconds)
  local check <close> = mkHealthCheck(dependency).start()
  local deadline, last = time.monotonic() + seconds, "no verdict yet"
  repeat
    local change = check:next(math.max(deadline - time.monotonic(), 0))
    if change and change.state == "passing" then return true end
    last = change and change.message or last
  until time.monotonic() >= deadline
  local verdict = check:last()
  return nil, ("Health check failed for %s within %g s: %s"):format(dependency.name, seconds,
    verdict and verdict.message or last), "timeout"
end

-- soft and circular ones are not waited for: they would hold back what needs not wait.
local waits = {}

function waits.required(dependency, seconds, tell)
  tell("Waiting for dependency: " .. dependency.name)
  local ok, message, code = await(dependency, seconds)
  if not ok then return nil, message, code end
  tell(("Dependency %s is ready"):format(dependency.name))
  return true
end

function waits.optional(dependency, seconds, tell)
  local ok = waits.required(dependency, seconds, tell)
  if not ok then tell(("Dependency %s is missing; going on"):format(dependency.name)) end
  return true
end

return function(given)
  local args = common.arguments("mkServiceCoordination", given or {}, known())
  local own = type(args.strategy) == "string" and plugin.find("strategy", args.strategy)
  if not own then
    common.one_of("coordination strategy", "strategies", args.strategy, STRATEGIES)
  end
  local result = { strategy = args.strategy, services = args.services,
    dependencies = args.dependencies, loadBalancing = args.loadBalancing, config = config_of(args),
    arguments = given or {}, coordination = { strategy = args.strategy,
      enableHealthChecks = args.enableHealthChecks, dependencyTimeout = args.dependencyTimeout } }

  function result.resolveDependencies(name)
    local list = dependencies_of(args, name)
    for _, dependency in ipairs(list) do dependency.required = dependency.type == "required" end
    return list
  end

  --- Waits until a service may start; nil, message, "timeout" if a required one does not come.
  -- options: timeout (dependencyTimeout), tell(text).
  function result.waitForDependencies(name, options)
    options = options or {}
    local seconds, tell = options.timeout or args.dependencyTimeout, options.tell or function() end
    local runs = {}
    for _, dependency in ipairs(dependencies_of(args, name)) do
      local wait = waits[dependency.type]
      if wait then runs[#runs + 1] = function() return wait(dependency, seconds, tell) end end
    end
    local ok, message, code = task.all(runs)
    if not ok then return nil, message, code end
    return true
  end

  return result
end
