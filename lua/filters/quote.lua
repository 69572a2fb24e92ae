--- quote -- the value as text in double quotes, with escapes that JSON, YAML and TOML share.
local core = require "orrery.core"
local filter = require "orrery.filter"

return function(value)
  local text, why = core.text.quote(filter.text(value))
  return text or error("the value " .. why, 0)
end
