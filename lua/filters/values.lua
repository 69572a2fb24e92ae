--- values -- the values of a map, in the order of its sorted keys.
local filter = require "orrery.filter"

return function(value)
  local found = {}
  for i, key in ipairs(filter.keys(value)) do found[i] = value[key] end
  return filter.mark(found)
end
