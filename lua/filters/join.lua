--- join -- join(separator): the items of a list in one text; ", " unless told.
local filter = require "orrery.filter"

return function(value, separator)
  local parts = {}
  for i, item in ipairs(filter.list(value)) do parts[i] = filter.text(item, "item " .. i - 1) end
  return table.concat(parts, separator == nil and ", " or filter.text(separator, "separator"))
end
