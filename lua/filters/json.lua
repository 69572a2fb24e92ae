--- json -- the value as JSON, on one line.
local core = require "orrery.core"

return function(value)
  if value == nil then return "null" end
  local text, message = core.json.encode(value)
  return text or error(message, 0)
end
