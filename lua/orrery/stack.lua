--- stack -- from a stack file, its profile and its types to one plain table, or to every problem.
--
-- load() reads and computes; it writes nothing.
local merge = require "orrery.merge"
local places = require "orrery.places"
local plugin = require "orrery.plugin"
local schema = require "orrery.schema"
local secret = require "orrery.secret"
local source = require "orrery.source"
local suggest = require "orrery.suggest"
local validate = require "orrery.validate"
local values = require "orrery.template.values"
local verify = require "orrery.verify"

local M = {}

-- What a type says that still holds when the service runs elsewhere.
local EXTERNAL_FIELDS = { scheme = true, healthChecks = true }

local LOCAL_ENDINGS = { localhost = true, ["local"] = true, test = true, internal = true }

local function add(ctx, problem)
  ctx.problems[#ctx.problems + 1] = problem
end

--- A copy of a map, with one more entry: what comes from the defaults is shared.
local function with(map, key, value)
  local result = {}
  for name, item in pairs(map) do result[name] = item end
  if key then result[key] = value end
  return result
end

--- Whether a domain is one that only this machine or network knows.
local function is_local(domain)
  return domain == "localhost" or LOCAL_ENDINGS[domain:match("%.(%a+)$") or ""] == true
end

-- ---- the layers ----

local function read_layer(ctx, value, label, options)
  local layer = validate.layer(value, { file = label, problems = ctx.problems, texts = ctx.texts,
    coerce = options and options.coerce })
  return { value = layer or {}, label = label }
end

local function own_layer(ctx, place)
  if place.value then return read_layer(ctx, place.value, "script") end
  if not place.file then return { value = { profile = place.profile }, label = "command line" } end
  local value, problem = source.read(place.file, { extra = plugin.stack_names() })
  if problem then
    add(ctx, problem)
    ctx.unread = true
    return { value = {}, label = place.file }
  end
  if type(value) ~= "table" then
    add(ctx, { file = place.file,
      message = "gives no table; a stack file ends with return { ... }" })
    ctx.unread = true
  end
  return read_layer(ctx, type(value) == "table" and value or {}, place.file)
end

--- "services.pds.config["pds.env"].mode" as its keys.
local function keys_of(path)
  local keys, at = {}, 1
  while at <= #path do
    local first, last, key = path:find('^%["([^"]*)"%]%.?', at)
    if not first then first, last, key = path:find("^([^.%[]+)%.?", at) end
    if not first then return nil end
    keys[#keys + 1], at = key, last + 1
  end
  return #keys > 0 and keys or nil
end

local function put(result, keys, value)
  local map = result
  for i = 1, #keys - 1 do
    if map[keys[i]] == nil then map[keys[i]] = {} end
    map = map[keys[i]]
    if type(map) ~= "table" then return false end
  end
  map[keys[#keys]] = value
  return true
end

local function set_layer(ctx, set)
  local value = {}
  for _, path in ipairs(suggest.names(set or {})) do
    local keys = keys_of(path)
    if not keys or not put(value, keys, set[path]) then
      add(ctx, { file = "--set", path = path,
        message = "is not the path of a value, such as services.pds.port" })
    end
  end
  return read_layer(ctx, value, "--set", { coerce = true })
end

--- A profile or type: a table, or a function that gives one from what `arguments()` returns.
local function evaluated(ctx, label, value, arguments)
  if type(value) ~= "function" then return value end
  local ok, result = pcall(value, arguments())
  if ok then return result end
  local prefix, text = label .. ":", tostring(result)
  local line = text:sub(1, #prefix) == prefix and text:sub(#prefix + 1):match("^(%d+): ")
  if line then text = text:sub(#prefix + #line + 3) end
  add(ctx, { file = label, line = line and math.tointeger(line), message = text })
  return nil, true
end

--- What profiles and types may look at: the stack as the user wrote it, with what is known of it.
local function facts_of(ctx, own)
  local facts = merge.copy(own)
  facts.name = facts.name or ctx.place.name
  facts.domain = facts.domain or schema.stack.fields.domain.default
  facts.isLocal = is_local(facts.domain)
  facts.node = ctx.node
  facts.services = facts.services or {}
  facts.settings = facts.settings or {}
  return facts
end

local function profile_layer(ctx, own)
  local name = own.profile or "custom"
  if name == "custom" then return { value = {}, label = "custom" } end
  local value, from = plugin.read("profile", name, ctx.place.dir)
  if value == nil then
    add(ctx, { path = not from.file and "profile" or nil, file = from.file or ctx.place.file,
      message = from.message, line = from.line })
    ctx.lacks_profile = true
    return { value = {}, label = name }
  end
  local failed
  value, failed = evaluated(ctx, from, value, function() return facts_of(ctx, own) end)
  if type(value) ~= "table" then
    if not failed then
      add(ctx, { file = from, message = "a profile is a table, or a function that returns one" })
    end
    ctx.lacks_profile = true
    return { value = {}, label = from }
  end
  local layer = read_layer(ctx, value, from)
  layer.value.profile = nil
  return layer
end

-- ---- types ----

local function type_file(ctx, name)
  local known = ctx.types[name]
  if not known then
    local value, from = plugin.read("type", name, ctx.place.dir)
    known = { value = value, from = from }
    ctx.types[name] = known
  end
  return known
end

--- The types that there are, looked up once: a stack may have thousands of services.
local function known_types(ctx)
  if ctx.known_types then return ctx.known_types end
  ctx.known_types = {}
  for _, item in ipairs(plugin.list("type", ctx.place.dir)) do ctx.known_types[item.name] = true end
  return ctx.known_types
end

local function type_name(ctx, name, service)
  if service.type then return service.type end
  return known_types(ctx)[name] and name or "process"
end

local function fields_for(value, external)
  if not external then return value end
  local result = {}
  for key in pairs(EXTERNAL_FIELDS) do result[key] = value[key] end
  result.healthChecks = {}
  for name, check in pairs(value.healthChecks or {}) do
    if check.strategy == "http" and not check.port then result.healthChecks[name] = check end
  end
  return result
end

--- What a type gives, read; and whether it is wrong. A type that is a table gives every service the
-- same.
local function read_type(ctx, file, value)
  if file.fields then return file.fields end
  local before = #ctx.problems
  local fields = validate.read(schema.service, value, { file = file.from, problems = ctx.problems,
    texts = ctx.texts })
  if #ctx.problems > before then return fields or {}, true end
  if value == file.value then file.fields = fields end
  return fields
end

local function type_failed(ctx, name, service, problem)
  ctx.broken[name] = true
  local path = not problem.file and ("services.%s.type"):format(name) or nil
  add(ctx, { path = path, file = problem.file or (service.type and ctx.place.file),
    message = problem.message, line = problem.line })
end

--- The part of a service that its type gives, and the type's file.
local function from_type(ctx, name, service, merged)
  local file = type_file(ctx, service.type)
  if file.value == nil then return type_failed(ctx, name, service, file.from) end
  local value, failed = evaluated(ctx, file.from, file.value, function()
    return merge.copy(service), facts_of(ctx, merged)
  end)
  ctx.broken[name] = failed or ctx.broken[name]
  if failed then return nil end
  if type(value) ~= "table" then
    return type_failed(ctx, name, service,
      { file = file.from, message = "a type is a table, or a function that returns one" })
  end
  local fields, wrong = read_type(ctx, file, value)
  ctx.broken[name] = wrong or ctx.broken[name]
  return fields_for(fields, service.external), file.from
end

--- One layer of everything that the types of the enabled services say.
local function types_layer(ctx, merged)
  local layer = { value = { services = {} }, label = "type", deeper = { services = {} } }
  for _, name in ipairs(suggest.names(merged.services or {})) do
    local service = merged.services[name]
    if service.enable ~= false then
      service.type = type_name(ctx, name, service)
      local value, from = from_type(ctx, name, service, merged)
      layer.value.services[name] = with(value or {}, "type", service.type)
      layer.deeper.services[name] = from
    end
  end
  return layer
end

-- ---- what follows from the layers ----

local function stack_facts(ctx, stack)
  stack.name = stack.name or ctx.place.name
  stack.profile = stack.profile or "custom"
  stack.file, stack.dir = ctx.place.file, ctx.place.dir
  stack.isLocal = is_local(stack.domain)
  stack.node = ctx.node
  if next(stack.nodes) == nil then stack.nodes[ctx.node] = {} end
  stack.dirs = places.dirs(stack)
end

local SCHEME_PORTS = { http = 80, https = 443, postgresql = 5432, postgres = 5432, redis = 6379 }

--- An external service is where its url says.
local function from_url(service)
  local url = service.url
  if type(url) ~= "string" or url:find("${", 1, true) then return end
  local scheme, rest = url:match("^([%a][%w+.-]*)://([^/?#]+)")
  if not scheme then return end
  local host = rest:gsub("^.*@", "")
  local name, port = host:match("^%[(.-)%]:?(%d*)$")
  if not name then name, port = host:match("^([^:]*):?(%d*)$") end
  service.scheme = scheme
  service.address = service.address or name
  service.port = service.port or math.tointeger(port) or SCHEME_PORTS[scheme]
end

local function instances_of(name, service, node)
  local ids = {}
  for i = 1, service.replicas do
    ids[i] = (i == 1 and "%s@%s" or "%s-%d@%s"):format(name, i == 1 and node or i, node)
  end
  return ids
end

local function default_role(name, check)
  if check.role then return end
  check.role = (name == "ready" or name == "live") and name or "report"
end

--- A secret that its variable's declaration generates is kept as "<service>.<variable>".
local function secret_settings(name, service)
  if next(service.variables) == nil then return end
  local settings = with(service.settings)
  for variable, declared in pairs(service.variables) do
    local value = settings[variable]
    if value == nil and declared.generate then
      local spec = { generate = declared.generate, name = name .. "." .. variable }
      if not secret.complaint(spec) then settings[variable] = secret.new(spec) end
    elseif declared.secret and (type(value) == "string" or math.type(value)) then
      settings[variable] = secret.of(value)
    end
  end
  service.settings = settings
end

--- The rules of restarting with their policy; one table for all services that share the rules.
local function restart_of(ctx, service)
  local rules = service.restart
  if rules.policy then return rules end
  local policy = service.oneshot and "on-failure" or "always"
  local made = ctx.restarts[rules] or {}
  ctx.restarts[rules] = made
  made[policy] = made[policy] or with(rules, "policy", policy)
  return made[policy]
end

local LOOPBACK = "127.0.0.1"
local WILDCARD = { ["0.0.0.0"] = "127.0.0.1", ["::"] = "::1" }

local function service_facts(ctx, stack, name, service)
  service.name = name
  if service.external then from_url(service) end
  local node_address = stack.nodes[ctx.node] and stack.nodes[ctx.node].address
  service.bind = service.bind or node_address or LOOPBACK
  service.address = service.address or node_address or WILDCARD[service.bind] or service.bind
  service.dependencyTimeout = service.dependencyTimeout or stack.coordination.dependencyTimeout
  service.restart = restart_of(ctx, service)
  service.instances = instances_of(name, service, ctx.node)
  service.dirs = places.service_dirs(stack.dirs, name, service.type)
  local ready = ctx.edge_checks[name] ~= nil
  for check_name, check in pairs(service.healthChecks) do
    default_role(check_name, check)
    ready = ready or check.role == "ready"
  end
  service.readyWhen = service.readyWhen or (ready and "check" or "started")
  secret_settings(name, service)
end

--- The checks that dependents wrote at their edge to a service: {service = {name = check}}. They
-- look at the service, and so they are checks of the service: its one health, shared by all.
local function edge_checks(stack)
  local found = {}
  for _, from in ipairs(suggest.names(stack.services)) do
    for to, dependency in pairs(stack.services[from].dependencies) do
      if dependency.healthCheck and stack.services[to] then
        local check = merge.copy(dependency.healthCheck)
        check.name, check.role = nil, "ready"
        found[to] = found[to] or {}
        found[to]["for " .. from] = check
      end
    end
  end
  return found
end

local function has_check(checks, wanted)
  for _, check in pairs(checks) do
    if values.equal(check, wanted) then return true end
  end
  return false
end

--- Adds them where the service has not the same check already.
local function share_edge_checks(ctx, stack)
  for name, checks in pairs(ctx.edge_checks) do
    local own = with(stack.services[name].healthChecks)
    for _, label in ipairs(suggest.names(checks)) do
      if not has_check(own, checks[label]) then own[label] = checks[label] end
    end
    stack.services[name].healthChecks = own
  end
end

--- Services of which too little is known to say more: a problem of theirs is told already, or the
-- profile that might complete them is missing.
local function broken_services(ctx, stack)
  if ctx.lacks_profile then
    for name in pairs(stack.services) do ctx.broken[name] = true end
  end
  for _, problem in ipairs(ctx.problems) do
    local path = problem.path or ""
    local name = path:match('^services%.([%w_-]+)') or path:match('^services%["([^"]+)"%]')
    if name then ctx.broken[name] = true end
  end
end

local function build(ctx, options)
  local own, set = own_layer(ctx, ctx.place), set_layer(ctx, options.set)
  local user = merge.lay(own.value, set.value, schema.stack)
  local profile = profile_layer(ctx, user)
  if ctx.unread then return nil end
  local types = types_layer(ctx, merge.stack({ profile, own, set }))
  local layers = { types, profile, own, set }
  local stack = merge.stack(layers)
  merge.defaults(stack, schema.stack)
  ctx.removed = merge.prune(stack)
  stack_facts(ctx, stack)
  ctx.edge_checks = edge_checks(stack)
  if options.amend then options.amend(stack) end
  for name, service in pairs(stack.services) do service_facts(ctx, stack, name, service) end
  stack.origin = merge.lazy_origin(stack, layers, validate.child)
  broken_services(ctx, stack)
  verify.stack(ctx, stack)
  share_edge_checks(ctx, stack) -- as seen where they were written
  return stack
end

--- Loads the stack that `target` names: a file, a folder that holds one, or a profile (default: the
-- current folder); a table is the stack itself, with `dir` as its folder. `options`: node (this
-- machine's name), set ({["services.pds.port"] = "3001"}), dir (the current folder), amend(stack)
-- (changes settings of services before they are looked at).
-- Returns the stack | nil, list of {path, message, file, line, column}.
function M.load(target, options)
  options = options or {}
  if target == nil or target == "" then target = "." end
  local place, problem = places.locate(target, options.dir)
  if not place then return nil, { problem } end
  local ctx = { place = place, problems = {}, texts = {}, types = {}, broken = {},
    restarts = {}, node = places.node(options.node) }
  local stack = build(ctx, options)
  if #ctx.problems > 0 then return nil, ctx.problems end
  return stack
end

--- The problems as text: one line each, below the file that they are in.
M.format = require("orrery.problem").list

return M
