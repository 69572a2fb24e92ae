--- sort -- a sorted list: numbers before strings; sort(field): a list of maps by that field.
local filter = require "orrery.filter"

local function before(a, b)
  if type(a) == type(b) then return a < b end
  return type(a) == "number"
end

local function check(item, i)
  if type(item) == "string" or item == item and type(item) == "number" then return item end
  error(("item %d is a %s; only numbers and strings can be sorted"):format(i - 1, type(item)), 0)
end

return filter.of_services(function(value, field)
  local rows, sorted, size = {}, {}, 0
  for i, item in ipairs(filter.list(value)) do
    local key = item
    if field ~= nil then key = filter.field(item, field, i) end
    rows[i] = {key = check(key, i), at = i, item = item}
    size = size + (type(key) == "string" and #key or 0)
  end
  filter.bound(size)
  table.sort(rows, function(a, b)
    if a.key == b.key then return a.at < b.at end
    return before(a.key, b.key)
  end)
  for i, row in ipairs(rows) do sorted[i] = row.item end
  return filter.mark(sorted)
end)
