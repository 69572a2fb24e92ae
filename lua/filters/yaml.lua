--- yaml -- the value as YAML on one line: JSON is YAML, and a plain word stays bare.
local core = require "orrery.core"

return function(value)
  if value == nil then return "null" end
  local word = type(value) == "string" and value:find("^%a[%w._/-]*$")
  if word and core.yaml.encode(value) == value .. "\n" then return value end
  local text, message = core.json.encode(value)
  return text or error(message, 0)
end
