--- shipped -- the templates in templates/, each with what it needs: the file of a service.
local support = require "support"
local core = require "orrery.core"
local render = require "orrery.render"
local secret = require "orrery.secret"
local stacks = require "orrery.stack"

local M = {}

local function needed(kind) return { type = kind, required = true } end
local SERVICE, SECRET = { type = "service" }, { type = "string", secret = true,
  generate = "hex:16" }
local OPTIONAL = { type = "string" }

local PROXY = { upstream = { type = "string", default = "pds" },
  healthPath = { type = "string", default = "/xrpc/_health" } }

local function proxy(more)
  for name, declared in pairs(PROXY) do more[name] = more[name] or declared end
  return more
end

--- What each template needs: variables (declarations), settings, fields of its service, format.
M.uses = {
  ["pds.env"] = { format = "env", variables = { plc = SERVICE, appview = SERVICE, relay = SERVICE,
    redis = SERVICE, inviteRequired = { type = "boolean", default = true }, jwtSecret = SECRET,
    adminPassword = SECRET, rotationKey = SECRET } },
  ["plc.env"] = { format = "env", variables = { postgresql = SERVICE },
    settings = { postgresql = "database" } },
  ["appview.env"] = { format = "env", variables = { dataplane = SERVICE, bsync = SERVICE,
    plc = SERVICE, ozone = SERVICE, signingKey = SECRET, adminPassword = SECRET,
    bsyncKey = SECRET } },
  ["bsync.env"] = { format = "env", variables = { database = SERVICE, bsyncKey = SECRET } },
  ["ozone.env"] = { format = "env", variables = { database = SERVICE, plc = SERVICE,
    appview = SERVICE, pds = SERVICE, adminDids = { type = "array" }, adminPassword = SECRET,
    signingKey = SECRET }, settings = { adminDids = { "did:plc:a", "did:plc:b" } } },
  ["relay.env"] = { format = "env", variables = { plc = SERVICE, database = SERVICE,
    metricsPort = { type = "number", default = 2471 }, adminPassword = SECRET,
    replayWindow = { type = "string", default = "72h" }, trustedDomains = { type = "array" } },
    settings = { trustedDomains = { "*.host.example" } } },
  ["feedgen.env"] = { format = "env", variables = { relay = SERVICE,
    publisher = needed "string" }, settings = { publisher = "did:plc:publisher" } },
  Caddyfile = { variables = proxy { email = OPTIONAL },
    settings = { email = "admin@pds.example" } },
  ["nginx.conf"] = { variables = { upstream = PROXY.upstream, certificate = OPTIONAL,
    key = OPTIONAL, maxBody = { type = "string", default = "100m" } } },
  ["haproxy.cfg"] = { variables = proxy { certificate = OPTIONAL } },
  ["prometheus.yml"] = { format = "yaml", variables = { jobs = { type = "object" } },
    settings = { jobs = { pds = { port = 3001 }, relay = { port = 2471, path = "/metrics" } } } },
  ["pgbouncer.ini"] = { format = "ini:plain", variables = { database = SERVICE,
    databases = { type = "array" }, authFile = needed "string" },
    settings = { databases = { "bsync", "ozone" }, authFile = "/etc/pgbouncer/userlist.txt" } },
  ["traefik.toml"] = { format = "toml", variables = proxy {
    entryPoint = { type = "string", default = "websecure" } } },
  ["consul.json"] = { format = "json", variables = { datacenter = { type = "string",
    default = "dc1" }, server = { type = "boolean", default = false },
    servers = { type = "number", default = 1 }, consul = SERVICE, encryptKey = OPTIONAL } },
}

local OTHERS = { pds = 3000, plc = 2582, appview = 2584, relay = 2470, redis = 6379,
  database = 5432, dataplane = 2585, bsync = 2586, ozone = 3001, consul = 8500 }

--- A record of a service, as discovery gives it.
function M.record(name, number, fields)
  local record = { service = name, id = ("%s-%d@edge"):format(name, number), node = "edge",
    address = "10.0.0." .. number, port = OTHERS[name], did = "did:web:" .. name .. ".example",
    tags = { "atproto" }, meta = {}, status = "passing" }
  for key, value in pairs(fields or {}) do record[key] = value end
  return record
end

local function service_of(port, more)
  local service = { type = "process", exec = { "sleep", "1" }, port = port,
    healthCheck = { strategy = "tcp" } }
  for key, value in pairs(more or {}) do service[key] = value end
  return service
end

local function settings_of(use, options)
  local settings = {}
  for _, from in ipairs { options.bare and {} or use.settings or {}, options.settings or {} } do
    for key, value in pairs(from) do settings[key] = value end
  end
  return settings
end

--- The stack that has the file `name` as that of a service "own". options: settings, bare (without
--- the usual ones), fields (of the service), without (names of services), domain, dir.
function M.stack(name, options)
  local use, services = M.uses[name], {}
  for other, port in pairs(OTHERS) do services[other] = service_of(port) end
  services.database.scheme = "postgresql"
  for _, other in ipairs(options.without or {}) do services[other] = nil end
  services.own = service_of(4000, { did = "did:web:own.example", ports = { http = 4080,
    admin = 4019 }, variables = use.variables, settings = settings_of(use, options),
    config = { [name] = { source = name, format = use.format } } })
  for key, value in pairs(options.fields or {}) do services.own[key] = value end
  local text = core.json.encode { name = "t", profile = "custom", services = services,
    domain = options.domain or "pds.example.com" }
  local stack, problems = stacks.load(support.write(support.tmp() .. "/stack.json", text))
  if not stack then error(stacks.format(problems), 2) end
  local dir = options.dir or "/srv/own"
  stack.services.own.dirs = { data = dir .. "/data", config = dir, logs = dir .. "/log" }
  return stack
end

--- Renders the file of a stack() | nil, problems. `records` are {service = list}; two of each
--- service unless given.
function M.render_in(stack, records)
  local function lookup(service)
    return records and records[service]
      or { M.record(service, 1), M.record(service, 2) }
  end
  local function reveal(value) return secret.reveal(value) or 'S3"CR$T' end
  local list, problems = render.files(stack, "own", { lookup = lookup, reveal = reveal,
    dirs = stack.services.own.dirs })
  if not list then return nil, problems end
  return list[1]
end

--- Both: options are those of stack(), and records.
function M.render(name, options)
  options = options or {}
  return M.render_in(M.stack(name, options), options.records)
end

return M
