--- quote -- the value as text in double quotes, with JSON's escapes: for JSON, YAML, TOML and HCL.
local core = require "orrery.core"
local filter = require "orrery.filter"

return function(value)
  local text, message = core.json.encode(filter.text(value))
  return text or error(message, 0)
end
