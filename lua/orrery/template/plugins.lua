--- plugins -- finds the filter or format of a name: a user's own file first, then the built-in one.
---
--- A built-in one is a module of ours; a user's is a script in the sandbox, and bounded. What was
--- found is kept for a second, so that a rendering does not look at the disk, and a file that was
--- changed is noticed all the same.
local core = require "orrery.core"
local plugin = require "orrery.plugin"
local suggest = require "orrery.suggest"

local M = {}

local TYPES = {filter = "function", format = "table"}
local KEEP = 1 -- seconds
local MAX_FOLDERS = 64

local function names(kind, dir)
  local found = kind == "filter" and {"later"} or {} -- later is a part of the language
  for _, item in ipairs(plugin.list(kind, dir)) do found[#found + 1] = item.name end
  return found
end

local function is_ours(kind, name, path)
  return path == ("%s/lua/%ss/%s.lua"):format(plugin.root(), kind, name)
end

-- "env:docker" is the format env in its style docker.
local function styled(format, name, style)
  local found = (format.styles or {})[style]
  if found then return found end
  local known = suggest.names(format.styles or {})
  return nil, ("the format '%s' has no style '%s'%s"):format(name, style, #known == 0 and ""
    or "; it has " .. table.concat(known, ", "))
end

--- What the file of that filter or format returns | nil, message. `dir` is the folder of the
--- stack file, or nil. The last result says whether it is a file of the user's.
function M.find(kind, name, dir)
  local base, style = name:match("^([%w_.-]+):([%w_-]+)$")
  if kind == "format" and base then
    local format, message = M.find(kind, base, dir)
    if not format then return nil, message end
    return styled(format, base, style)
  end
  local path = not name:find("/", 1, true) and plugin.find(kind, name, dir)
  if not path then
    return nil, ("there is no %s '%s'%s"):format(kind, name, suggest.hint(name, names(kind, dir)))
  end
  if is_ours(kind, name, path) then return require(kind .. "s." .. name), nil, false end
  local value, problem = plugin.read(kind, name, dir)
  if type(value) == TYPES[kind] then return value, nil, true end
  local why = value == nil and problem.message or "it does not return a " .. TYPES[kind]
  local line = value == nil and problem.line and ":" .. problem.line or ""
  return nil, ("the %s '%s' (%s%s) cannot be used: %s"):format(kind, name, path, line, why)
end

local folders, count = {}, 0

local function forget()
  folders, count = {}, 0
end

local function of_folder(dir)
  local key, now = dir or "", core.time.monotonic()
  local found = folders[key]
  if found and now - found.since <= KEEP then return found end
  if count >= MAX_FOLDERS then forget() end
  if not folders[key] then count = count + 1 end
  found = {filters = {}, foreign = {}, formats = {}, since = now}
  folders[key] = found
  return found
end

--- find() of a format, kept for a second.
function M.format(name, dir)
  local found = of_folder(dir)
  if found.formats[name] then return found.formats[name] end
  local format, message = M.find("format", name, dir)
  found.formats[name] = format or nil
  return format, message
end

--- The filters of `sites` ({name}), by name, and whether one is the user's | nil, message, site.
function M.filters(sites, dir)
  local found, has_foreign = of_folder(dir), false
  for _, site in ipairs(sites) do
    local name = site.name
    if not found.filters[name] then
      local filter, message, foreign = M.find("filter", name, dir)
      if not filter then return nil, message, site end
      found.filters[name], found.foreign[name] = filter, foreign
    end
    has_foreign = has_foreign or found.foreign[name]
  end
  return found.filters, has_foreign
end

return M
