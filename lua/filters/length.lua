--- length -- of a string in characters, of a list or a map in items.
local filter = require "orrery.filter"

return filter.of_services(function(value)
  if type(value) == "string" then return utf8.len(value) or #value end
  if filter.is_list(value) then return #value end
  return #filter.keys(value)
end)
