--- mkDeploymentProfile -- a whole stack under a name: to validate, to load, to keep as a file.
local common = require "orrery.seed.common"
local merge = require "orrery.merge"
local problem_of = require "orrery.problem"
local stack_of = require "orrery.stack"
local suggest = require "orrery.suggest"

local KNOWN = { name = common.NONE, description = "", services = {}, coordination = {},
  discovery = {}, networking = {}, security = {}, domain = common.NONE, settings = common.NONE }

-- What a dependency of mkDependency says for itself, and its check says in a stack.
local OF_CHECK = { "timeout", "retries", "backoff", "config", "required" }

--- A dependency as a stack has it.
local function as_edge(fields)
  local made = fields.retries ~= nil or fields.backoff ~= nil
  local edge = merge.copy(fields)
  if made then
    for _, key in ipairs(OF_CHECK) do edge[key] = nil end
  end
  if edge.healthCheck and not edge.healthCheck.strategy then edge.healthCheck = nil end
  return edge
end

local REGISTERED = { "port", "address", "tags", "meta", "healthEndpoint" }

local function service_of(args, name, service)
  local result = merge.copy(service)
  result.openFirewall = nil
  local edges = {}
  for _, from in ipairs { (args.coordination.dependencies or {})[name] or {},
    service.dependencies or {} } do
    for _, fields in ipairs(common.each_dependency(from)) do edges[#edges + 1] = as_edge(fields) end
  end
  result.dependencies = edges
  local record = (args.discovery.services or {})[name] or {}
  for _, key in ipairs(REGISTERED) do
    if result[key] == nil then result[key] = record[key] end
  end
  return result
end

local function stack_table(args)
  local services = {}
  for name, service in pairs(args.services) do services[name] = service_of(args, name, service) end
  return { name = args.name, domain = args.domain, settings = args.settings, services = services,
    coordination = merge.copy(args.coordination.coordination or args.coordination),
    discovery = merge.copy(args.discovery.discovery or args.discovery) }
end

--- The ports of services that say openFirewall, sorted.
local function open_ports(services)
  local seen, ports = {}, {}
  for _, service in pairs(services) do
    if service.openFirewall and service.port and not seen[service.port] then
      seen[service.port] = true
      ports[#ports + 1] = service.port
    end
  end
  table.sort(ports)
  return ports
end

local function missing(services)
  local names = {}
  for _, name in ipairs(suggest.names(services)) do
    if services[name].enable == false then names[#names + 1] = name end
  end
  return #names > 0 and "Missing required services: " .. table.concat(names, " ") or nil
end

return function(given)
  local args = common.arguments("mkDeploymentProfile", given, KNOWN)
  if type(args.name) ~= "string" then error("mkDeploymentProfile: name: a text", 2) end
  local profile = { name = args.name, description = args.description, services = args.services,
    coordination = args.coordination, discovery = args.discovery, security = args.security,
    networking = merge.copy(args.networking) }
  profile.networking.firewall = profile.networking.firewall or {}
  profile.networking.firewall.allowedTCPPorts = open_ports(args.services)

  --- The stack as a table: what a stack file or a profile returns.
  function profile.toStack() return stack_table(args) end

  function profile.validate()
    local errors = { missing(args.services) }
    local _, problems = stack_of.load(stack_table(args))
    for _, problem in ipairs(problems or {}) do errors[#errors + 1] = problem_of.text(problem) end
    return { valid = #errors == 0, errors = errors }
  end

  --- The stack, to plan and to bring up (orrery.stack).
  function profile.load(options)
    return require("orrery.public.stack").load(stack_table(args), options)
  end

  return profile
end
