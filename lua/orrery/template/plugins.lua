--- plugins -- finds the filter or format of a name: a user's own file first, then the built-in one.
---
--- A built-in one is a module of ours; a user's is a script in the sandbox, and bounded.
local plugin = require "orrery.plugin"
local suggest = require "orrery.suggest"

local M = {}

local TYPES = {filter = "function", format = "table"}

local function names(kind, dir)
  local found = kind == "filter" and {"later"} or {} -- later is a part of the language
  for _, item in ipairs(plugin.list(kind, dir)) do found[#found + 1] = item.name end
  return found
end

local function is_ours(kind, name, path)
  return path == ("%s/lua/%ss/%s.lua"):format(plugin.root(), kind, name)
end

--- What the file of that filter or format returns | nil, message. `dir` is the folder of the
--- stack file, or nil.
function M.find(kind, name, dir)
  local path = not name:find("/", 1, true) and plugin.find(kind, name, dir)
  if not path then
    return nil, ("there is no %s '%s'%s"):format(kind, name, suggest.hint(name, names(kind, dir)))
  end
  if is_ours(kind, name, path) then return require(kind .. "s." .. name) end
  local value, problem = plugin.read(kind, name, dir)
  if type(value) == TYPES[kind] then return value end
  local why = value == nil and problem.message or "it does not return a " .. TYPES[kind]
  return nil, ("the %s '%s' (%s) cannot be used: %s"):format(kind, name, path, why)
end

return M
