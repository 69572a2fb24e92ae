--- shell_quote -- the value as one word of a shell command.
local filter = require "orrery.filter"

return function(value)
  value = filter.text(value)
  if value:find("\0", 1, true) then error("a NUL byte cannot be in a shell word", 0) end
  if value:find("^[%w_@%%+=:,./-]+$") then return value end
  return "'" .. value:gsub("'", "'\\''") .. "'"
end
