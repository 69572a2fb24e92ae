--- unique -- a list without repetitions, in the order of their first places.
local filter = require "orrery.filter"
local values = require "orrery.template.values"

local MAX_TABLES = 1000 -- each is compared with all before it
local MAX_COMPARED = 5000000 -- values in them

local function is_among(list, item, count)
  for _, other in ipairs(list) do if values.equal(item, other, count) then return true end end
  return false
end

local function counter()
  local compared = 0
  return function()
    compared = compared + 1
    if compared > MAX_COMPARED then error("the lists or maps in it are too large to compare", 0) end
  end
end

return function(value)
  local seen, found, tables, count = {}, {}, {}, counter()
  for _, item in ipairs(filter.list(value)) do
    local new = not seen[item]
    if new and type(item) == "table" then
      new = not is_among(tables, item, count)
      tables[#tables + 1] = new and item or nil
      if #tables > MAX_TABLES then error("more than 1000 different lists or maps", 0) end
    end
    seen[item] = true
    if new then found[#found + 1] = item end
  end
  return filter.mark(found)
end
