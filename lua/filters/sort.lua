--- sort -- a sorted list: numbers before strings.
local filter = require "orrery.filter"

local function before(a, b)
  if type(a) == type(b) then return a < b end
  return type(a) == "number"
end

local function check(item, i)
  if type(item) == "string" or item == item and type(item) == "number" then return end
  error(("item %d is a %s; only numbers and strings can be sorted"):format(i - 1, type(item)), 0)
end

return function(value)
  local copy = filter.copy(value)
  for i, item in ipairs(copy) do check(item, i) end
  table.sort(copy, before)
  return copy
end
