--- last -- the last item of a list; an empty list has none.
local filter = require "orrery.filter"

return filter.of_services(function(value)
  local list = filter.list(value)
  if list[1] == nil then error("the list is empty, so it has no last item", 0) end
  return list[#list]
end)
