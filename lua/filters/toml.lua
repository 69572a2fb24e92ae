--- toml -- the value as a TOML value, on one line.
local format = require "formats.toml"

return function(value)
  if value == nil then error("TOML has no null; use | default(...) before", 0) end
  local text, message = format.value(value)
  return text or error(message, 0)
end
