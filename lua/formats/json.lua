--- json -- JSON files, indented, keys sorted.
local core = require "orrery.core"

local M = {}

-- Filters whose result is a JSON value.
M.written_by = {json = true, quote = true}

-- Whether a text that stands outside of quotes could be several values, or a list or map: all that
-- is in it belongs to numbers, true, false, null or the signs between values.
local function is_structure(text)
  return text:find("[,:%[%]{}]") and not text:find("[^%d%s,:%[%]{}.+Etrufalsen-]")
end

--- Whether a text may stand in a template as it is, bare or in quotes.
function M.guard(text)
  if text:find('["\\%c\127]') then
    return nil, "has a quote, a '\\' or a control character in it; use | json, which quotes it"
  end
  if is_structure(text) then
    return nil, "could be more than one value; use | json, without quotes around it"
  end
  return true
end

--- Reads a file: its value | nil, message, line.
function M.read(text)
  local value, message = core.json.decode(text)
  if value ~= nil then return value end
  local line, reason = message:match("^(%d+):%d+: (.*)$")
  return nil, reason or message, tonumber(line) or 1
end

--- Writes a value | nil, message. options.indent: blanks per level (2).
function M.write(value, options)
  local text, message = core.json.encode(value, {indent = options and options.indent or 2})
  if not text then return nil, message end
  return text .. "\n"
end

return M
