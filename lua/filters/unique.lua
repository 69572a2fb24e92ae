--- unique -- a list without repetitions, in the order of their first places.
local filter = require "orrery.filter"
local values = require "orrery.template.values"

local MAX_TABLES = 1000 -- each is compared with all before it

local function is_among(list, item)
  for _, other in ipairs(list) do if values.equal(item, other) then return true end end
  return false
end

return function(value)
  local seen, found, tables = {}, {}, {}
  for _, item in ipairs(filter.list(value)) do
    local new = not seen[item]
    if new and type(item) == "table" then
      new = not is_among(tables, item)
      tables[#tables + 1] = new and item or nil
      if #tables > MAX_TABLES then error("more than 1000 different lists or maps", 0) end
    end
    seen[item] = true
    if new then found[#found + 1] = item end
  end
  return filter.mark(found)
end
