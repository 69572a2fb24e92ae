--- map -- map(field): that field of each item of a list; map(field, other): or other, if absent.
local filter = require "orrery.filter"

return filter.of_services(function(value, field, ...)
  local found, has_default, default = {}, select("#", ...) > 0, (...)
  for i, item in ipairs(filter.list(value)) do
    local one = filter.field(item, field, i)
    if one == nil and not has_default then
      error(("item %d has no field '%s'; use map(\"%s\", ...)"):format(i - 1, field, field), 0)
    end
    if one == nil then one = filter.value(default) end
    found[i] = one
  end
  return filter.mark(found)
end)
