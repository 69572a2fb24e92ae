--- where -- where(field, value): the items whose field is that value, or, if it is a list, has it;
--- where(field): those whose field is there and is not false.
local filter = require "orrery.filter"
local values = require "orrery.template.values"

local function holds(found, wanted)
  if values.equal(found, wanted) then return true end
  if type(found) ~= "table" or not filter.is_list(found) then return false end
  for _, one in ipairs(found) do if values.equal(one, wanted) then return true end end
  return false
end

return filter.of_services(function(value, field, ...)
  local kept, any = {}, select("#", ...) == 0
  local wanted = filter.value((...))
  for i, item in ipairs(filter.list(value)) do
    local found = filter.field(item, field, i)
    local fits
    if any then fits = found ~= nil and found ~= false and found ~= values.null
    else fits = found ~= nil and holds(found, wanted) end
    if fits then kept[#kept + 1] = item end
  end
  return filter.mark(kept)
end)
