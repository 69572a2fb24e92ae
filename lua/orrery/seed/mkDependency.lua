--- mkDependency -- one edge of the graph, with the check that decides about it.
local common = require "orrery.seed.common"
local schema = require "orrery.schema"

local TYPES = { "circular", "optional", "required", "soft" }
local KNOWN = { name = common.NONE, type = "required", healthCheck = {}, timeout = 30, retries = 3,
  backoff = "exponential", config = {}, service = {} }

--- `service` (not the seed's): what is known of the service depended on: type, port, address.
return function(given)
  local d = common.arguments("mkDependency", given, KNOWN)
  if type(d.name) ~= "string" then error("mkDependency: name: the service depended on", 2) end
  common.one_of("dependency type", "types", d.type, TYPES)
  local check = {}
  for key, value in pairs(d.healthCheck) do check[key] = value end
  local own = common.check_of(d.name, d.service) or {}
  if not check.strategy or check.strategy == own.strategy then
    for key, value in pairs(own) do
      if check[key] == nil then check[key] = value end
    end
  end
  check.strategy = check.strategy or check.endpoint and "http" or nil
  if check.file then check.path, check.file = check.path or check.file, nil end
  if check.strategy then
    check.timeout, check.retries = check.timeout or d.timeout, check.retries or check.fall or
      d.retries
    check.fall, check.backoff = nil, check.backoff or d.backoff
    check.interval = check.interval or 10
    check.expectedStatus = check.expectedStatus or check.strategy == "http" and 200 or nil
    check.port = check.port or ((check.strategy == "http" or check.strategy == "tcp")
      and d.service.port) or nil
    common.read("mkDependency", schema.check, check, "healthCheck")
  end
  return { name = d.name, type = d.type, timeout = d.timeout, retries = d.retries,
    backoff = d.backoff, healthCheck = check, config = d.config }
end
