--- env -- the value as it stands behind the `=` in an env file: quoted where it must be.
local core = require "orrery.core"
local filter = require "orrery.filter"

local quoted = core.text.env

return function(value)
  if type(value) ~= "string" then value = filter.text(value) end
  local text, why = quoted(value)
  return text or error("the value " .. why, 0)
end
