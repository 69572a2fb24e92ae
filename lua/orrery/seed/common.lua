--- common -- what the seed's functions share: how arguments are read, and the real check of a
-- dependency.
local merge = require "orrery.merge"
local plugin = require "orrery.plugin"
local problem_of = require "orrery.problem"
local schema = require "orrery.schema"
local suggest = require "orrery.suggest"
local validate = require "orrery.validate"

local M = {}

--- The default of an argument that has none.
M.NONE = setmetatable({}, { __name = "none" })

--- Arguments with their defaults; `known` is {name = default}. An unknown name raises.
function M.arguments(fn, given, known)
  if type(given) ~= "table" then
    error(("%s: expected a table of arguments, got a %s"):format(fn, type(given)), 3)
  end
  local result = {}
  for name, default in pairs(known) do
    if default ~= M.NONE then result[name] = merge.copy(default) end
  end
  for name, value in pairs(given) do
    if known[name] == nil then
      error(("%s: unknown argument %q%s"):format(fn, tostring(name),
        suggest.hint(tostring(name), suggest.names(known))), 3)
    end
    result[name] = value
  end
  return result
end

--- Raises "Invalid <what>: <value>. Valid <plural>: a b c" unless the value is one of them.
function M.one_of(what, plural, value, valid)
  for _, item in ipairs(valid) do if item == value then return end end
  error(("Invalid %s: %s. Valid %s: %s"):format(what, tostring(value), plural,
    table.concat(valid, " ")), 3)
end

--- The problems of a value of the schema, as one error.
function M.read(fn, node, value, path)
  local result, problems = validate.read(node, value, { path = path })
  if #problems > 0 then error(("%s: %s"):format(fn, problem_of.line(problems)), 3) end
  return result
end

--- A list of names and tables, or a map by name, as a list of tables with a name each.
function M.each_dependency(dependencies)
  local list = {}
  for key, value in pairs(dependencies or {}) do
    local fields = type(value) == "table" and merge.copy(value) or {}
    fields.name = fields.name or (type(key) == "string" and key) or value
    list[#list + 1] = { key = key, fields = fields }
  end
  table.sort(list, function(a, b)
    if math.type(a.key) and math.type(b.key) then return a.key < b.key end
    return tostring(a.fields.name) < tostring(b.fields.name)
  end)
  for i, item in ipairs(list) do list[i] = item.fields end
  return list
end

local function of_type(name, service)
  local value = plugin.read("type", service.type or name)
  if type(value) == "function" then
    local ok, made = pcall(value, merge.copy(service),
      { domain = "localhost", isLocal = true, services = {}, settings = {}, node = "localhost" })
    value = ok and made or nil
  end
  return type(value) == "table" and value or {}
end

--- Fills in `${port}` and `${address}`, which a type's check is told by its service.
local function filled(value, fields)
  if type(value) == "table" then
    local result = {}
    for key, item in pairs(value) do result[key] = filled(item, fields) end
    return result
  end
  if type(value) ~= "string" then return value end
  return (value:gsub("%${(%w+)}", function(key) return fields[key] and tostring(fields[key]) end))
end

local function placed(check, port, address)
  check = filled(check, { port = port, address = address })
  if check.strategy == "http" or check.strategy == "tcp" then
    check.port = math.tointeger(tonumber(check.port)) or port
    check.host = check.host or address
  end
  check.role, check.name = nil, nil
  return check
end

--- The check of a service: its own, its type's, or whether its port answers; nil if there is
-- nothing to look at. Never a path that the real service does not have.
function M.check_of(name, service)
  local base = of_type(name, service)
  local port, address = service.port or base.port, service.address or "127.0.0.1"
  for _, from in ipairs { service, base } do
    local read = validate.read(schema.service, { healthCheck = from.healthCheck,
      healthChecks = from.healthChecks, healthEndpoint = from.healthEndpoint }, {})
    local check = read.healthChecks and (read.healthChecks.ready or read.healthChecks.live)
    if check and check.strategy then return placed(check, port, address) end
  end
  if port then return { strategy = "tcp", port = port, host = address } end
end

return M
