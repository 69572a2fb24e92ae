--- unique -- a list without repetitions, in the order of their first places.
local filter = require "orrery.filter"

return function(value)
  local seen, found = {}, {}
  for _, item in ipairs(filter.list(value)) do
    if not seen[item] then
      seen[item] = true
      found[#found + 1] = item
    end
  end
  return filter.mark(found)
end
