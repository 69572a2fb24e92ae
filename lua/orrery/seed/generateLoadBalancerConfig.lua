--- generateLoadBalancerConfig -- upstreams of a load balancer, from services and what is discovered
--- of them. Documented in lua/meta/seed_templates.lua.
local loadbalancer = require "orrery.loadbalancer"
local suggest = require "orrery.suggest"

local DEFAULTS = { weight = 1, maxFails = 3, failTimeout = "30s", interval = 30, timeout = 10,
  address = "127.0.0.1", strategy = "round-robin" }

local class = {}
class.__index = class

local function address_of(instance)
  local address = tostring(instance.address or DEFAULTS.address)
  local host = address:find(":", 1, true) and "[" .. address .. "]" or address
  return ("%s:%d"):format(host, instance.port)
end

--- "30s" of 30 and of "30s".
local function seconds(value) return type(value) == "number" and ("%ds"):format(value) or value end

--- A number of the service or of the instance's meta, which is text.
local function number_of(instance, service, key, default)
  local meta = instance.meta or {}
  return tonumber(instance[key] or meta[key] or service[key]) or default
end

local function server_of(instance, service)
  return { address = address_of(instance),
    weight = number_of(instance, service, "weight", DEFAULTS.weight),
    max_fails = number_of(instance, service, "maxFails", DEFAULTS.maxFails),
    fail_timeout = seconds(instance.failTimeout or service.failTimeout or DEFAULTS.failTimeout) }
end

--- A service is one instance, or has several: `instances`, or it is a list of them.
local function instances_of(service)
  if service[1] ~= nil then return service end
  return service.instances or { service }
end

local function upstream_of(name, service, problems)
  local upstream = { name = name, servers = {}, healthEndpoint = service.healthEndpoint or false,
    weighted = false }
  for i, instance in ipairs(instances_of(service)) do
    if math.type(instance.port) ~= "integer" then
      problems[#problems + 1] = ("services.%s: instance %d has no port"):format(name, i)
    else
      upstream.servers[#upstream.servers + 1] = server_of(instance, service)
    end
  end
  local first = upstream.servers[1]
  for _, server in ipairs(upstream.servers) do
    upstream.weighted = upstream.weighted or server.weight ~= first.weight
  end
  if not first and #problems == 0 then
    problems[#problems + 1] = ("services.%s: no instance is known"):format(name)
  end
  return upstream
end

--- What a program reads of it: "nginx", "haproxy" or "caddy" | nil, message, code.
function class:text(program)
  for _, known in ipairs(loadbalancer.PROGRAMS) do
    if known == program then return loadbalancer.text(self, program) end
  end
  error(("there is no output for '%s'%s; there is: %s"):format(tostring(program),
    suggest.hint(tostring(program), loadbalancer.PROGRAMS),
    table.concat(loadbalancer.PROGRAMS, ", ")), 2)
end

return function(coordination, services)
  if type(coordination) ~= "table" or type(services) ~= "table" then
    error("expected two tables: the coordination, and the services by name", 2)
  end
  local balancing = coordination.loadBalancing or {}
  local strategy, problems = balancing.strategy or DEFAULTS.strategy, {}
  if not loadbalancer.METHODS[strategy] then
    problems[1] = ("loadBalancing.strategy: there is no strategy '%s'%s"):format(tostring(strategy),
      suggest.hint(tostring(strategy), suggest.names(loadbalancer.METHODS)))
  end
  local upstream = {}
  for i, name in ipairs(suggest.names(services)) do
    upstream[i] = upstream_of(name, services[name], problems)
  end
  if #problems > 0 then return nil, table.concat(problems, "\n"), "invalid" end
  return setmetatable({ upstream = upstream, strategy = strategy,
    healthCheck = { enabled = coordination.enableHealthChecks ~= false,
      interval = balancing.healthCheckInterval or DEFAULTS.interval,
      timeout = balancing.healthCheckTimeout or DEFAULTS.timeout } }, class)
end
