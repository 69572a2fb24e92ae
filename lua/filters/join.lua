--- join -- join(separator): the items of a list in one text; ", " unless told.
local filter = require "orrery.filter"

return function(value, separator)
  local parts, size = {}, 0
  separator = separator == nil and ", " or filter.text(separator, "separator")
  for i, item in ipairs(filter.list(value)) do
    parts[i] = filter.text(item, "item " .. i - 1)
    size = size + #parts[i] + #separator
  end
  filter.bound(size)
  return table.concat(parts, separator)
end
