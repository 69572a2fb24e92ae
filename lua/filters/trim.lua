--- trim -- without the white space at both ends.
local text = require "orrery.filter".text

return function(value)
  value = text(value)
  local first = value:find("%S")
  if not first then return "" end
  local last = #value
  while value:find("^%s", last) do last = last - 1 end
  return value:sub(first, last)
end
