--- generateDiscoveryConfig -- what the backend really gets when a service is registered.
local core = require "orrery.core"
local secret = require "orrery.secret"

--- The options of the backend itself; a secret plays no part in what is registered.
local function options_of(discovery)
  local options = {}
  for _, key in ipairs(core.discovery.options(discovery.backend)) do
    local value = discovery.discovery[key]
    if not secret.is(value) then options[key] = value end
  end
  return options
end

local shapes = {
  consul = function(sketch) return { service = sketch } end,
  etcd = function(sketch) return sketch end,
  dns = function(sketch) return { records = sketch } end,
  file = function(sketch, record) return { [record.service] = sketch } end,
}

return function(discovery, name, service)
  if type(discovery) ~= "table" or not discovery.registerService then
    error("generateDiscoveryConfig: expected what mkServiceDiscovery makes", 2)
  end
  if type(name) ~= "string" or type(service) ~= "table" then
    error("generateDiscoveryConfig: expected the name of a service and its table", 2)
  end
  local record, message, code = discovery.registerService(name, service)
  if not record then return nil, message, code end
  if discovery.backend == "env" then
    return core.discovery.environment({ record }, discovery.discovery.envPrefix)
  end
  local options = options_of(discovery)
  if discovery.backend == "file" then options.filePath = "." end -- nothing is written
  local backend
  backend, message, code = core.discovery.open(discovery.backend, options)
  if not backend then return nil, message, code end
  local _ <close> = backend
  local sketch
  sketch, message, code = backend:sketch(record, discovery.registrationTtl)
  if not sketch then return nil, message, code end
  return shapes[discovery.backend](sketch, record)
end
