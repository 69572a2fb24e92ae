--- mkServiceDiscovery -- what a stack's `discovery` says, with the seed's defaults, and a face of
-- the backend that it opens.
local common = require "orrery.seed.common"
local core = require "orrery.core"
local merge = require "orrery.merge"
local schema = require "orrery.schema"

local BACKENDS = { "consul", "dns", "env", "etcd", "file" }

-- The seed's own defaults; other keys have those of the schema. The file backend has a folder.
local DEFAULTS = { backend = "consul", services = {}, healthCheckInterval = 30,
  registrationTtl = 60, consulAddress = "127.0.0.1:8500", consulDatacenter = "dc1",
  consulEnableTLS = false, etcdEndpoints = { "127.0.0.1:2379" },
  etcdKeyPrefix = "/atproto/services", etcdEnableTLS = false, dnsDomain = "atproto.local",
  dnsResolver = "127.0.0.1:53", dnsTtl = 300, filePath = "/etc/atproto/discovery",
  fileWatchInterval = 10, envPrefix = "ATPROTO_SERVICE_" }

local function known()
  local result = {}
  for key in pairs(schema.discovery.fields) do result[key] = common.NONE end
  for key, default in pairs(DEFAULTS) do result[key] = default end
  return result
end

--- The keys of a stack's `discovery` that the backends named are told.
local function keys_of(args)
  local used = { [args.backend] = true }
  for _, name in ipairs(args.fallback or {}) do used[name] = true end
  local keys = {}
  for key, field in pairs(schema.discovery.fields) do
    if not field.of_backend or used[field.of_backend] then keys[key] = args[key] end
  end
  return common.read("mkServiceDiscovery", schema.discovery, merge.copy(keys), "discovery")
end

--- {consul = {address, datacenter, ...}}: the keys of the backend without its name before them.
local function config_of(args)
  local config = {}
  for key in pairs(known()) do
    local rest = key:match("^" .. args.backend .. "(%u.*)$")
    if rest and args[key] ~= nil then
      local name = rest:find("^%u%u") and rest or rest:sub(1, 1):lower() .. rest:sub(2)
      config[name] = args[key]
    end
  end
  return { [args.backend] = config }
end

return function(given)
  local args = common.arguments("mkServiceDiscovery", given or {}, known())
  common.one_of("discovery backend", "backends", args.backend, BACKENDS)
  local result = { backend = args.backend, services = args.services,
    healthCheckInterval = args.healthCheckInterval, registrationTtl = args.registrationTtl,
    config = config_of(args), discovery = keys_of(args) }

  --- The record of a service, as a backend keeps it; nil, message, "invalid" if it cannot be one.
  function result.registerService(name, service)
    local id = service.instanceId and ("%s-%s"):format(name, service.instanceId)
    local record, message, code = core.discovery.record { service = name, id = id,
      node = service.node or core.process.hostname(), address = service.address or "127.0.0.1",
      port = service.port, scheme = service.scheme, did = service.did, tags = service.tags or {},
      meta = service.meta or {} }
    if not record then return nil, message, code end
    record.source, record.revision = nil, nil
    return record
  end

  --- The backend, with what stands behind it: register, lookup, watch ...
  function result.open() return require("orrery.discovery").open(merge.copy(result.discovery)) end

  return result
end
