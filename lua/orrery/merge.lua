--- merge -- lays one layer over another: maps deep, lists and scalars replaced. Pure.
local schema = require "orrery.schema"
local secret = require "orrery.secret"

local M = {}

local function is_map(value)
  return type(value) == "table" and not secret.is(value) and #value == 0
end

--- A deep copy; secrets stay the objects they are.
function M.copy(value)
  if type(value) ~= "table" or secret.is(value) then return value end
  local result = {}
  for key, field in pairs(value) do
    result[key] = type(field) == "table" and M.copy(field) or field
  end
  local class = getmetatable(value)
  return class and setmetatable(result, class) or result
end

local function field_node(node, key)
  if node.type == "object" then return node.fields[key] end
  return node.type == "map" and node.of or node
end

--- A check of another strategy shares nothing with the one below it but its schedule.
local function without_strategy(check, over)
  if not over.strategy or over.strategy == check.strategy then return check end
  local common = {}
  for key, value in pairs(check) do
    local of_strategy = false
    for _, keys in pairs(schema.check_keys) do of_strategy = of_strategy or keys[key] end
    if not of_strategy then common[key] = value end
  end
  return common
end

local DEEP = { object = true, map = true, any = true }

--- `over` laid over `base`, which is ours to change.
local function onto(base, over, node)
  if over == nil then return base end
  if not (is_map(base) and is_map(over) and node and DEEP[node.type]) then return M.copy(over) end
  if node == schema.check then base = without_strategy(base, over) end
  for key, value in pairs(over) do base[key] = onto(base[key], value, field_node(node, key)) end
  return base
end

--- `over` laid over `base`: a new value. `node` is their schema.
function M.lay(base, over, node) return onto(M.copy(base), over, node) end

--- All layers of a stack, lowest first.
function M.stack(layers)
  local result = {}
  for _, layer in ipairs(layers) do result = onto(result, layer.value, schema.stack) end
  return result
end

local REMOVABLE = { "dependencies", "healthChecks", "config" }

local function prune(map)
  for name, item in pairs(map) do
    if item.enable == false then map[name] = nil end
    item.enable = nil
  end
end

--- Takes out what `enable = false` removes; `enable` itself is gone afterwards. Returns the names
-- of the services that were taken out.
function M.prune(stack)
  local removed = {}
  for name, service in pairs(stack.services) do
    if service.enable == false then
      removed[name] = true
      stack.services[name] = nil
    end
    service.enable = nil
    for _, key in ipairs(REMOVABLE) do if service[key] then prune(service[key]) end end
  end
  return removed
end

local function holds_objects(field)
  return field.type == "object" or (field.type == "map" and field.of.type == "object")
end

local fillable = {} -- node -> the fields of it that have a default, or may have some inside

--- Those of a discovery backend are filled in where it is opened (discovery/options.lua), as most
-- stacks use one only.
local function fillable_fields(node)
  if fillable[node] then return fillable[node] end
  local found = {}
  for key, field in pairs(node.fields) do
    local has_default = field.default ~= nil and not field.of_backend
    if has_default or holds_objects(field) then found[key] = field end
  end
  fillable[node] = found
  return found
end

local function own_default(field) return M.copy(field.default) end

local shared = {} -- field -> its default, with the defaults of what is in it

local function shared_default(field)
  if type(field.default) ~= "table" then return field.default end
  if shared[field] == nil then
    local value = own_default(field)
    shared[field] = field.type == "object" and M.defaults(value, field) or value
  end
  return shared[field]
end

local function fill(value, node, default_of)
  for key, field in pairs(fillable_fields(node)) do
    if value[key] == nil and not field.of_backend then value[key] = default_of(field) end
    if value[key] == nil or value[key] == shared[field] then
      goto continue
    elseif field.type == "object" then
      fill(value[key], field, default_of)
    elseif holds_objects(field) then
      for _, item in pairs(value[key]) do fill(item, field.of, shared_default) end
    end
    ::continue::
  end
  return value
end

--- Fills in the defaults of the fields that `value` lacks. What lies in a map, as the services do,
-- gets tables that are shared by all that lack the same: copy such a one before it is changed.
function M.defaults(value, node) return fill(value, node, own_default) end

local function origin_of(layers, key)
  local below = {}
  for _, layer in ipairs(layers) do
    if type(layer.value) == "table" and layer.value[key] ~= nil then
      local label = layer.labels and layer.labels[key] or layer.label
      local deeper = layer.deeper and layer.deeper[key]
      below[#below + 1] = { value = layer.value[key], label = label, labels = deeper }
    end
  end
  return below
end

local function trace(value, layers, path, child, result)
  if is_map(value) and next(value) ~= nil then
    for key, field in pairs(value) do
      trace(field, origin_of(layers, key), child(path, key), child, result)
    end
    return
  end
  local top = layers[#layers]
  result[path] = top and top.label or "default"
end

--- Where each value comes from: {["services.pds.port"] = label of the highest layer that has it}.
-- A layer is {value, label, deeper = {services = {<name> = label}}}. `child` joins paths.
function M.origin(value, layers, child)
  local result = {}
  for key, field in pairs(value) do
    if key ~= "origin" then trace(field, origin_of(layers, key), child("", key), child, result) end
  end
  return result
end

--- The same, found out when somebody first asks: few do, and it costs as much as the merge.
function M.lazy_origin(value, layers, child)
  return setmetatable({}, { __index = function(self, path)
    setmetatable(self, nil)
    for key, label in pairs(M.origin(value, layers, child)) do self[key] = label end
    return self[path]
  end })
end

return M
