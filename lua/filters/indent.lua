--- indent -- indent(n): n blanks before each line but the first; with `true` behind, the first too.
local filter = require "orrery.filter"

local MAX = 100

return function(value, count, first)
  count = math.tointeger(count)
  if not count or count < 0 or count > MAX then
    error("the number of blanks must be a whole number from 0 to " .. MAX, 0)
  end
  local pad, text = (" "):rep(count), filter.text(value)
  local lines = filter.cut(text, "\n")
  for i = first and 1 or 2, #lines do
    if lines[i] ~= "" then lines[i] = pad .. lines[i] end
  end
  return table.concat(lines, "\n")
end
