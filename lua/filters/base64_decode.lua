--- base64_decode -- the text that base64 stands for; it must be UTF-8.
local core = require "orrery.core"
local filter = require "orrery.filter"

return function(value)
  local text = core.text.base64_decode(filter.text(value)) or error("this is not base64", 0)
  if not core.text.is_utf8(text) then error("what it decodes to is not text (UTF-8)", 0) end
  return text
end
