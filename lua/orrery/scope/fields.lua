--- fields -- the fields of services: our own, and those of another as its record has them.
local secret = require "orrery.secret"
local suggest = require "orrery.suggest"
local values = require "orrery.template.values"

local M = {}

--- The fields that a service may use of itself by their bare names.
M.OWN = {
  name = true, type = true, instance = true, port = true, ports = true, scheme = true, bind = true,
  address = true, hostname = true, url = true, publicUrl = true, did = true, tags = true,
  meta = true, user = true, group = true,
}

-- What one service may know of another; with `id`, `node` and `status` of its record.
local OTHERS = {
  name = true, type = true, port = true, ports = true, scheme = true, address = true,
  hostname = true, url = true, publicUrl = true, did = true, tags = true, meta = true,
  external = true, id = true, node = true, status = true,
}

local FROM_RECORD = {address = true, port = true, id = true, node = true, status = true,
                     tags = true, meta = true, did = true}

local function failure(message, pending)
  return nil, {message = message, pending = pending or false}
end

local function url_of(scheme, address, port)
  local host = address:find(":", 1, true) and "[" .. address .. "]" or address
  return ("%s://%s:%d"):format(scheme or "http", host, port)
end

-- scheme://address:port, of a service that listens somewhere.
local function composed_url(self)
  if self.port == nil and self.service.port == nil then return nil end
  local port = M.own(self, "port")
  local address = M.own(self, "address")
  if type(port) ~= "number" or type(address) ~= "string" then return nil end
  return url_of(M.own(self, "scheme"), address, port)
end

local function declared_field(self, name)
  local value = self.service[name]
  if value == nil then return nil end
  local path = ("services.%s.%s"):format(self.name, name)
  local rendered, problem = self:evaluate(value, path)
  if rendered ~= nil then return rendered end
  return nil, {message = problem.message, pending = problem.pending}
end

local CONTEXT = {instance = true, port = true, ports = true, address = true}
local DEFAULTS = {address = "127.0.0.1", scheme = "http"}

--- A field that is no template, nor made of others: as it is. nil if there is more to it.
function M.direct(self, name)
  if name == "name" then return self.name end
  if CONTEXT[name] and self[name] ~= nil then return self[name] end
  local value = self.service[name]
  local kind = type(value)
  if kind == "string" and not value:find("[$%%]{") and value ~= "auto" then return value end
  return (kind == "number" or kind == "boolean") and value or nil
end

local function own_value(self, name)
  if name == "port" and self.service.port == "auto" then
    return failure(("the port of '%s' is chosen when it starts"):format(self.name), true)
  end
  local value, problem = declared_field(self, name)
  if value ~= nil or problem then return value, problem end
  if name == "url" or name == "publicUrl" then value = composed_url(self) end
  if name == "url" and value == nil and self.record then value = self.record.url end
  if name == "bind" then value = M.own(self, "address") end
  if name == "hostname" then value = self.stack.domain end
  if name == "tags" or name == "meta" or name == "ports" then value = {} end
  return value or DEFAULTS[name]
end

--- A field of the service of this scope | nil, {message, pending}.
function M.own(self, name)
  local known = M.direct(self, name)
  if known ~= nil then return known end
  local value, problem = self:chained(self.name .. ":" .. name, own_value, self, name)
  if value ~= nil or problem then return value, problem end
  return failure(("the service '%s' has no %s; set services.%s.%s"):format(self.name, name,
    self.name, name))
end

-- ---- other services ----

local function is_clean(value)
  return type(value) ~= "string" or not value:find("[%c\127]")
end

local function not_yet(name, field)
  return failure(("the %s of '%s' is not known yet"):format(field, name), true)
end

-- Records come from outside: a control character in one can only do harm.
local function record_field(name, record, field)
  local value = record[field]
  if value == nil then return nil end
  if is_clean(value) then return value end
  return failure(("the discovered %s of '%s' has a control character in it; correct its record")
    :format(field, name))
end

-- A service that is not in the stack is all that its record says.
local function outside_field(name, record, field)
  if not record then
    return failure(("the %s of '%s' is not known yet: no instance of it is registered")
      :format(field, name), true)
  end
  if field == "name" then return name end
  local value, problem = record_field(name, record, field)
  if value ~= nil or problem then return value, problem end
  if field == "url" and record.address and record.port then
    return url_of(record.scheme, record.address, record.port)
  end
  return not_yet(name, field)
end

local function stack_field(self, name, record, field, seen)
  if record and FROM_RECORD[field] then
    local value, problem = record_field(name, record, field)
    if value ~= nil or problem then return value, problem end
  end
  if field == "external" then return self.stack.services[name].external or false end
  if not M.OWN[field] then return not_yet(name, field) end
  seen.scope = seen.scope or self:of(name, record)
  local value, problem = M.own(seen.scope, field)
  if value ~= nil then return value end
  local unset = self.stack.services[name][field] == nil
  return nil, {message = problem.message, pending = problem.pending or unset}
end

local FIELD_NAMES = suggest.names(OTHERS)

--- What a oneshot published. nil, and no problem, if the field is none of those.
local function published(self, name, record, field)
  local service = self.stack.services[name]
  if not (service and service.oneshot) or type(field) ~= "string" then return nil end
  local outputs = record and record.outputs
  local value = outputs and outputs[field]
  if value ~= nil then return value end
  if OTHERS[field] or not field:find("^[%a_][%w_]*$") then return nil end
  if not outputs then
    return failure(("the %s of '%s' is not known yet: its run has not succeeded"):format(field,
      name), true)
  end
  return failure(("'%s' published no '%s'%s"):format(name, field,
    suggest.hint(field, suggest.names(outputs))))
end

-- A field as the stack or the record has it; `seen` keeps what was worked out.
local function known_field(self, name, record, field, seen)
  if seen.fields[field] ~= nil then return seen.fields[field] end
  local value, problem
  if self.stack.services[name] then
    value, problem = stack_field(self, name, record, field, seen)
  else
    value, problem = outside_field(name, record, field)
  end
  seen.fields[field] = value
  return value, problem
end

-- The fields of a service that have a value now.
local function known_names(self, name, record, seen)
  local names = {}
  for _, field in ipairs(FIELD_NAMES) do
    local value = known_field(self, name, record, field, seen)
    if value ~= nil and not secret.is(value) then names[#names + 1] = field end
  end
  return names
end

--- A view of the service `name` with what `record` (or nil) says of it.
function M.view(self, name, record)
  local seen = {fields = {}}
  return values.view(function(field)
    local value, problem = published(self, name, record, field)
    if value ~= nil or problem then return value, problem end
    if not OTHERS[field] then
      return failure(("'%s' has no field '%s'%s"):format(name, tostring(field),
        suggest.hint(tostring(field), FIELD_NAMES)))
    end
    return known_field(self, name, record, field, seen)
  end, function() return known_names(self, name, record, seen) end, name)
end

--- Whether a service can be described before it is discovered.
function M.is_static(self, name)
  local service = self.stack.services[name]
  return service ~= nil and (service.external or service.embedded or type(service.port) == "number")
end

local function preferred(self, a, b)
  local here = self.stack.node
  if (a.node == here) ~= (b.node == here) then return a.node == here end
  return tostring(a.id) < tostring(b.id)
end

--- The record of a service that this scope stays with: the one it had, else one on this node, else
--- that with the lowest id. nil if there is none.
function M.choose(self, name)
  local service = self.stack.services[name]
  if service and service.external then return nil end
  local best
  for _, record in ipairs(self.lookup(name) or {}) do
    if record.id == self.chosen[name] then return record end
    if not best or preferred(self, record, best) then best = record end
  end
  self.chosen[name] = best and best.id
  return best
end

return M
