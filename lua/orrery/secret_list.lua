--- secret_list -- which secrets a stack has, where they come from, and who uses them. It reads no
-- value.
local secret = require "orrery.secret"
local suggest = require "orrery.suggest"

local M = {}

--- Every secret within `value`, with its path.
local function walk(value, path, found)
  if secret.is(value) then
    found[#found + 1] = { path = path, about = secret.describe(value) }
  elseif type(value) == "table" then
    for _, key in ipairs(suggest.names(value)) do walk(value[key], path .. "." .. key, found) end
    for i, item in ipairs(value) do walk(item, ("%s[%d]"):format(path, i), found) end
  end
end

--- What the variables of a service say of the secrets in its settings.
local function add_declared(name, service, found)
  for _, item in ipairs(found) do
    local prefix = ("services.%s.settings."):format(name)
    local variable = item.path:sub(1, #prefix) == prefix and item.path:sub(#prefix + 1)
    local declared = variable and (service.variables or {})[variable]
    if declared then item.rotate = declared.rotate end
  end
end

local function key_of(item)
  local about = item.about
  if not about then return item.path end
  return about.source == "generate" and about.name or about.source .. " " .. about.from
end

--- Adds one place to the list; a secret that several places name is one.
local function add(list, by_key, service, item)
  local key = key_of(item)
  local entry = by_key[key]
  if not entry then
    local about = item.about or {}
    entry = { name = about.name or item.path, source = about.source or "several", from = about.from,
      services = {}, paths = {}, rotate = true }
    by_key[key] = entry
    list[#list + 1] = entry
  end
  if item.rotate == false then entry.rotate = false end
  entry.paths[#entry.paths + 1] = item.path
  if service and entry.services[#entry.services] ~= service then
    entry.services[#entry.services + 1] = service
  end
end

--- The secrets of a stack, sorted by name: {name, source, from, services, paths, rotate (false:
-- others depend on its value)}.
function M.of(stack)
  local list, by_key = {}, {}
  for _, name in ipairs(suggest.names(stack.services)) do
    local service, found = stack.services[name], {}
    walk(service, "services." .. name, found)
    add_declared(name, service, found)
    for _, item in ipairs(found) do add(list, by_key, name, item) end
  end
  local found = {}
  walk(stack.discovery, "discovery", found)
  for _, item in ipairs(found) do add(list, by_key, nil, item) end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

return M
