--- required -- required(message): an error with this message when there is no value.
local values = require "orrery.template.values"

return function(value, message)
  if value == nil or value == "" then
    error(message and values.text(message) or "a value is required here", 0)
  end
  return value
end
