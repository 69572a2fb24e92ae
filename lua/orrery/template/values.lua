--- values -- the values that templates work with, and how one is written as text.
---
--- Strings, numbers, booleans, lists and maps are Lua's; null is orrery.json's; a secret is
--- orrery.secret's. A *view* is a map whose fields are worked out when they are asked for.
local core = require "orrery.core"
local secret = require "orrery.secret"

local M = {}

M.null = core.json.null

local MAX_DEPTH = 64
local MAX_EXACT = 2 ^ 53 -- whole numbers below it have no more digits than they show

local views = setmetatable({}, {__mode = "k"})

--- A map whose fields are worked out by `index(key)` -> value | nil, {message, pending}; `names()`
--- lists them. `label` is what errors call it.
function M.view(index, names, label)
  local view = {}
  views[view] = {index = index, names = names, label = label}
  return view
end

--- The {index, names, label} of a view, or nil.
function M.view_of(value) return type(value) == "table" and views[value] or nil end

--- Whether a table is a list. An empty table is one: a loop over it is the same either way.
function M.is_list(value)
  return type(value) == "table" and not M.view_of(value) and not secret.is(value)
    and (value[1] ~= nil or next(value) == nil)
end

function M.kind(value)
  if value == nil or value == M.null then return "null" end
  if secret.is(value) then return "string" end
  if M.view_of(value) then return "object" end
  if type(value) ~= "table" then return type(value) end
  return M.is_list(value) and "array" or "object"
end

local function number_text(number)
  if number ~= number or number == math.huge or number == -math.huge then
    return nil, "this number is not finite"
  end
  if math.type(number) == "integer" then return ("%d"):format(number) end
  if number % 1 == 0 and math.abs(number) < MAX_EXACT then return ("%d"):format(number) end
  local short = ("%.15g"):format(number)
  return tonumber(short) == number and short or ("%.17g"):format(number)
end

--- A string, number or boolean as text | nil, why not.
function M.text(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "boolean" then return tostring(value) end
  if kind == "number" then return number_text(value) end
  return nil, M.kind(value)
end

local function sorted(names)
  table.sort(names, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return names
end

--- The keys of a map or view, sorted.
function M.keys(value)
  local view = M.view_of(value)
  if view then return sorted(view.names()) end
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  return sorted(keys)
end

local TOO_DEEP = {}

local function plain(value, reveal, spend, depth)
  if type(value) ~= "table" then return value end
  if depth > MAX_DEPTH then error(TOO_DEEP, 0) end
  if secret.is(value) then return reveal(value) end
  local view = M.view_of(value)
  local copy = setmetatable({}, not view and getmetatable(value) or nil)
  if view then
    for _, key in ipairs(view.names()) do
      spend()
      copy[key] = plain(view.index(key), reveal, spend, depth + 1)
    end
    return copy
  end
  for key, field in pairs(value) do
    spend()
    copy[key] = plain(field, reveal, spend, depth + 1)
  end
  return copy
end

local function free_of_charge() end

--- A copy without views and secrets (`reveal(secret)` gives their text), for filters and formats
--- | nil, why not. `spend`, if given, is called for each value. What either raises is raised.
function M.plain(value, reveal, spend)
  local ok, result = pcall(plain, value, reveal, spend or free_of_charge, 0)
  if ok then return result end
  if result == TOO_DEEP then return nil, "a value is nested more than 64 deep" end
  error(result, 0)
end

local function equal(a, b, spend, depth)
  if a == b or depth > MAX_DEPTH then return a == b end
  if type(a) ~= "table" or type(b) ~= "table" or M.view_of(a) or M.view_of(b) then return false end
  for key, value in pairs(a) do
    spend()
    if not equal(value, b[key], spend, depth + 1) then return false end
  end
  for key in pairs(b) do if a[key] == nil then return false end end
  return true
end

--- Whether two values are equal, maps and lists by what is in them. `spend`, if given, is called
--- for each value that is looked at.
function M.equal(a, b, spend) return equal(a, b, spend or free_of_charge, 0) end

return M
