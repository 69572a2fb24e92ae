--- node -- a node of the schema in words: its kind, its bounds, its default. Pure.
local core = require "orrery.core"

local M = {}

local function quoted(values)
  local list = {}
  for i, value in ipairs(values) do list[i] = ('"%s"'):format(value) end
  return table.concat(list, ", ")
end

local kinds = {}

local function kind_of(node) return kinds[node.type](node) end

function kinds.string(node)
  if node.enum then return (#node.enum > 1 and "one of " or "") .. quoted(node.enum) end
  return node.scalar and "string, number or boolean" or "string"
end

function kinds.list(node) return "list of: " .. kind_of(node.of) end
function kinds.map(node) return "table by name of: " .. kind_of(node.of) end
function kinds.object() return "table" end
function kinds.any() return "any value" end
function kinds.mode() return "string of octal digits" end
kinds["function"] = function() return "function (Lua stacks)" end

function kinds.either(node)
  local list = {}
  for i, branch in ipairs(node.of) do list[i] = kind_of(branch) end
  return table.concat(list, "; or ")
end

setmetatable(kinds, { __index = function(_, name) return function() return name end end })

--- What kind of value it takes.
M.kind = kind_of

local function range(node)
  local max = node.max ~= math.maxinteger and node.max or nil
  if type(node.min) == "table" or node.min == nil and not max and not node.above then return nil end
  if node.above then
    return ("above %g"):format(node.above) .. (max and (", at most %g"):format(max) or "")
  end
  if node.min and max then return ("from %s to %s"):format(node.min, max) end
  if max then return ("at most %s"):format(max) end
  return node.min ~= 0 and ("at least %s"):format(node.min) or nil
end

local function default(node)
  local value = node.default
  if value == nil or type(value) == "table" and next(value) == nil then return nil end
  return "default " .. (type(value) == "string" and value or assert(core.json.encode(value)))
end

--- Its bounds and default as one text, or nil: "from 1 to 1000; default 3".
function M.limits(node)
  local words = {}
  for _, part in ipairs { range(node) or false, default(node) or false } do
    if part then words[#words + 1] = part end
  end
  return #words > 0 and table.concat(words, "; ") or nil
end

--- Its meaning, with bounds and default behind it.
function M.meaning(node)
  local limits = M.limits(node)
  if not limits then return node.doc end
  local doc, more = node.doc:match("^(.*) %(([^()]*)%)$")
  return ("%s (%s)"):format(doc or node.doc, more and more .. "; " .. limits or limits)
end

return M
