--- lookup -- lookup(key, other): a field of a map; the other when the map does not have it.
local filter = require "orrery.filter"

return function(value, key, other)
  filter.keys(value)
  local found = value[filter.text(key, "key")]
  if found == nil then return other end
  return found
end
