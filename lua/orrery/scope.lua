--- scope -- the names that a service's templates may use, and what each stands for.
---
--- `x` is, in this order: a variable of type service, settings.x, the service's own field x, the
--- declared default of x. The roots stack, node, dir, service and services are the rest. Strings of
--- the stack are templates themselves: each is rendered when its name is asked for.
local core = require "orrery.core"
local fields = require "orrery.scope.fields"
local secret = require "orrery.secret"
local suggest = require "orrery.suggest"
local template = require "orrery.template"
local values = require "orrery.template.values"
local variables = require "orrery.scope.variables"

local M = {}

local MAX_CHAIN = 32 -- names that stand for names that stand for names

local scope = {}
scope.__index = scope

-- The names that are being worked out; the last one goes when its work ends, however it ends.
local chain_class = {__close = function(chain) chain[#chain] = nil end}

local function no_records() return {} end

-- A secret that is already text, as a rendering without an agent has it.
local function only_known(value) return secret.reveal(value) end

--- A scope for one service. `context`: stack, service (its name); the rest optional: instance
--- (its id), port, ports, address, dirs {data, config, logs, package}, variables (declarations of
--- one file, which join the service's), lookup(name, all) -> records (all: those on other nodes,
--- too), reveal(secret, service, variable) -> text | nil, message (may wait), chosen (a table to
--- keep from one rendering to the next, so that a service stays with the instance it was given),
--- listed (a table that gets the number of instances of each service whose instances were asked
--- for).
function M.new(context)
  local stack = context.stack
  local self = {
    stack = stack, name = context.service, service = stack.services[context.service] or {},
    instance = context.instance, port = context.port, address = context.address,
    ports = context.ports, dirs = context.dirs, record = context.record,
    extra = context.variables or {}, listed = context.listed,
    lookup = context.lookup or no_records, reveal_secret = context.reveal or only_known,
    chosen = context.chosen or {}, chain = context.chain or setmetatable({}, chain_class),
    known = {},
  }
  self.dirs = self.dirs or self.service.dirs or {}
  return setmetatable(self, scope)
end

--- The scope of another service of the stack, as `record` has it running (nil: as it is declared).
function scope:of(name, record)
  return M.new {
    stack = self.stack, service = name, record = record, port = record and record.port,
    address = record and record.address, lookup = self.lookup, listed = self.listed,
    reveal = self.reveal_secret,
    chosen = self.chosen, chain = self.chain,
  }
end

--- The text of a secret; fetched, unless it is known already.
function scope:reveal(value)
  local text = secret.reveal(value)
  if text then return text end
  return self.reveal_secret(value, self.name, nil)
end

local function failure(message, pending)
  return nil, {message = message, pending = pending or false}
end

-- Works out a name while it is on the chain, so that a name which needs itself is found out.
local function chained(self, label, work, ...)
  local chain = self.chain
  for i, link in ipairs(chain) do
    if link == label then
      local loop = table.concat(chain, " -> ", i) .. " -> " .. label
      return failure("this value needs itself: " .. loop)
    end
  end
  if #chain >= MAX_CHAIN then return failure("names stand for names more than 32 deep") end
  chain[#chain + 1] = label
  local _ <close> = chain
  return work(...)
end

local function wrapped(value, is_secret)
  if is_secret and not secret.is(value) then return secret.of(values.text(value) or "") end
  return value
end

--- Renders what a stack says at `path` (for errors): a string, or a list or map with strings in
--- it. What was made of secrets is one. Returns the value | nil, {message, pending}.
function scope:evaluate(value, path, hidden)
  if type(value) == "string" then
    if not value:find("[$%%]{") then return value end
    local options = {name = path, dir = self.stack.dir, hidden = hidden}
    local result, is_secret = template.value(value, self, options)
    if result == nil then return nil, is_secret end
    return wrapped(result, is_secret)
  end
  if type(value) ~= "table" or secret.is(value) then return value end
  local copy = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do
    local rendered, problem = self:evaluate(item, path .. "." .. tostring(key), hidden)
    if rendered == nil then return nil, problem end
    copy[key] = rendered
  end
  return copy
end

-- A problem with a value, told to whoever asked for the value.
local function passed_on(problem)
  return nil, {message = problem.message, pending = problem.pending}
end

-- ---- variables ----

local function declaration(self, name)
  return self.extra[name] or (self.service.variables or {})[name]
end

-- The text of a secret variable, opaque. Waits if the secret must be fetched.
local function secret_value(self, name, value)
  local text, message = self.reveal_secret(value, self.name, name)
  if not text then return failure(tostring(message)) end
  return secret.of(text)
end

local function declared_secret(self, name, declared)
  if not declared.generate then return nil end
  local spec = {generate = declared.generate, name = self.name .. "." .. name}
  return secret_value(self, name, secret.new(spec))
end

-- Whether there is a service: one of the stack, or, where there is no stack, one that is found.
local function is_there(self, name)
  if self.stack.services[name] then return true end
  return self.stack.alone and #(self.lookup(name) or {}) > 0
end

-- The service that a variable of type service stands for: a view, or false if there is none.
local function service_variable(self, name, declared)
  local target = (self.service.settings or {})[name]
  if target == false then return false end
  if target == nil then target = declared.default or name end
  if is_there(self, target) then return self:service_view(target) end
  if declared.required then return failure(variables.missing(name)) end
  if (self.service.settings or {})[name] ~= nil then
    return failure(("there is no service '%s', which settings.%s names%s"):format(tostring(target),
      name, suggest.hint(tostring(target), suggest.names(self.stack.services))))
  end
  return false
end

local function given_value(self, name, declared, value)
  local path = ("services.%s.settings.%s"):format(self.name, name)
  if secret.is(value) then return secret_value(self, name, value) end
  local hidden = declared and declared.secret
  local result, problem = self:evaluate(value, path, hidden)
  if result == nil then return passed_on(problem) end
  if declared then
    local all = variables.complaints(name, declared, result)
    if #all > 0 then return nil, {message = table.concat(all, "; "), all = all, pending = false} end
    result = variables.filled(declared, result)
  end
  return wrapped(result, hidden and not secret.is(result))
end

local function default_value(self, name, declared)
  if declared.default ~= nil then
    local path = ("services.%s.variables.%s.default"):format(self.name, name)
    local value, problem = self:evaluate(declared.default, path, declared.secret)
    if value == nil then return passed_on(problem) end
    local all = variables.complaints(name, declared, value)
    if #all > 0 then
      local text = table.concat(all, "; ")
      if text:sub(1, #name) ~= name then text = name .. ": " .. text end
      return nil, {message = "the default of " .. text, pending = false}
    end
    value = variables.filled(declared, value)
    return wrapped(value, declared.secret)
  end
  local generated, problem = declared_secret(self, name, declared)
  if generated or problem then return generated, problem end
  if declared.required then return failure(variables.missing(name)) end
  return values.null
end

-- ---- roots ----

local function root_view(label, get, names)
  return values.view(get, function() return names end, label)
end

local function table_view(label, data)
  local names = suggest.names(data)
  return root_view(label, function(key)
    local value = data[key]
    if value ~= nil then return value end
    return failure(("'%s' has no field '%s'%s"):format(label, tostring(key),
      suggest.hint(tostring(key), names)))
  end, names)
end

local roots = {}

function roots.stack(self)
  local stack = self.stack
  return table_view("stack", {name = stack.name, domain = stack.domain, dir = stack.dir,
    isLocal = stack.isLocal or false, settings = stack.settings or {}})
end

function roots.node(self)
  local declared = (self.stack.nodes or {})[self.stack.node] or {}
  local address = type(declared) == "table" and declared.address or "127.0.0.1"
  return table_view("node", {name = self.stack.node or "localhost", address = address})
end

function roots.dir(self)
  local label, names = "dir", {"config", "data", "logs", "package"}
  return root_view(label, function(key)
    local path = self.dirs[key]
    if path then return path end
    if key == "package" then
      return failure(("'%s' has no package folder: it is installed before the service starts")
        :format(self.name), true)
    end
    return failure(("'dir' has no field '%s'%s"):format(tostring(key),
      suggest.hint(tostring(key), names)))
  end, names)
end

local function service_names(self)
  local names = suggest.names(self.stack.services)
  for name in pairs(self.service.dependencies or {}) do
    if not self.stack.services[name] then names[#names + 1] = name end
  end
  return names
end

-- Whether there is such a service; nil and a message if nobody can tell now. A template alone has
-- no stack that could say which services there are (`alone`).
local function known_service(self, name)
  if self.stack.services[name] then return true end
  local records, message = self.lookup(name)
  if not records then return nil, message end
  return self.stack.alone or #records > 0 or (self.service.dependencies or {})[name] ~= nil
end

local ELSEWHERE = "; one that only discovery knows is named in `dependencies`, with discover = true"

local function unknown_service(self, name, message)
  if message then
    return failure(("nothing is known of service '%s' yet: %s"):format(tostring(name), message),
      true)
  end
  local hint = suggest.hint(tostring(name), suggest.names(self.stack.services))
  if hint == "" then hint = ELSEWHERE end
  return failure(("there is no service '%s' in this stack%s"):format(tostring(name), hint))
end

function roots.service(self)
  return root_view("service", function(name)
    local known, message = known_service(self, name)
    if not known then return unknown_service(self, name, message) end
    return self:service_view(name)
  end, service_names(self))
end

local function by_id(a, b) return tostring(a.id) < tostring(b.id) end

function roots.services(self)
  return root_view("services", function(name)
    local known, message = known_service(self, name)
    if not known then return unknown_service(self, name, message) end
    local records, list = {table.unpack(self.lookup(name, true) or {})}, {}
    if self.listed then self.listed[name] = #records end
    table.sort(records, by_id)
    for i, record in ipairs(records) do list[i] = fields.view(self, name, record) end
    if #list == 0 and fields.is_static(self, name) then list[1] = fields.view(self, name, nil) end
    return core.json.array(list)
  end, service_names(self))
end

-- ---- names ----

--- A view of a service: its fields, as the instance that was chosen for us has them.
function scope:service_view(name) return fields.view(self, name, fields.choose(self, name)) end

-- Every name that may be used, for suggestions.
local function all_names(self)
  local found = {}
  for _, map in ipairs {self.service.settings or {}, self.service.variables or {}, self.extra,
                        roots, not self.stack.alone and fields.OWN or nil} do
    for name in pairs(map) do found[name] = true end
  end
  return suggest.names(found)
end

-- A template alone is of no service whose fields it could have.
local function has_own(self, name) return fields.OWN[name] and not self.stack.alone end

local function resolve(self, name)
  local declared = declaration(self, name)
  if declared and declared.type == "service" then return service_variable(self, name, declared) end
  local value = (self.service.settings or {})[name]
  if value ~= nil then return given_value(self, name, declared, value) end
  if has_own(self, name) then
    local own, problem = fields.own(self, name)
    if own ~= nil or not declared then return own, problem end
  end
  if declared then return default_value(self, name, declared) end
  if roots[name] then return roots[name](self) end
  return failure(self:undeclared(name))
end

--- Why a name may not be used at all, or nil if it may.
function scope:undeclared(name)
  if declaration(self, name) or has_own(self, name) or roots[name] then return nil end
  if (self.service.settings or {})[name] ~= nil then return nil end
  return ("'%s' is not declared%s%s"):format(name, suggest.hint(name, all_names(self)),
    self.stack.alone and self.stack.alone:format(name) or "")
end

-- A field of its own that needs no other name to be worked out; nil if there is more to it.
local function direct(self, name)
  if declaration(self, name) or not has_own(self, name) then return nil end
  if (self.service.settings or {})[name] ~= nil then return nil end
  return fields.direct(self, name)
end

--- The value of a name | nil, {message, pending}. Each is worked out once.
function scope:get(name)
  local known = self.known[name]
  if known == nil then known = direct(self, name) end
  if known ~= nil then return known end
  local value, problem = chained(self, self.name .. "." .. name, resolve, self, name)
  if value ~= nil then self.known[name] = value end
  return value, problem
end

scope.chained = chained

--- Everything wrong with the settings of a service, at once: a list of {path, message}.
function scope:check() return variables.check(self) end

return M
