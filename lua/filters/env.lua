--- env -- the value as it stands behind the `=` in an env file: quoted where it must be.
local format = require "formats.env"

return function(value)
  if value == nil then error("it has no value; use | default(...) before", 0) end
  local text, why = format.value(value)
  return text or error("the value " .. why, 0)
end
