--- shell_quote -- the value as one word of a shell command.
local core = require "orrery.core"
local filter = require "orrery.filter"

return function(value)
  local text, why = core.text.shell(filter.text(value))
  return text or error("the value " .. why, 0)
end
