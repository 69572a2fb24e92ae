--- ini -- the value as it stands behind the `=` in an INI file: quoted where it must be.
local core = require "orrery.core"
local filter = require "orrery.filter"

return function(value)
  local text, why = core.text.ini(filter.text(value))
  return text or error("the value " .. why, 0)
end
