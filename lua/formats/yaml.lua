--- yaml -- YAML files in block style, keys sorted.
local core = require "orrery.core"

local M = {}

-- Filters whose result is a YAML value (a JSON one is, too).
M.written_by = {yaml = true, json = true, quote = true}

-- What YAML 1.1, and so libyaml, takes for line breaks, too; and the mark at the start of a stream.
local BREAKS = {"\u{85}", "\u{2028}", "\u{2029}", "\u{FEFF}"}

local function has_break(text)
  for _, char in ipairs(BREAKS) do if text:find(char, 1, true) then return true end end
  return false
end

--- Whether a text may stand in a template as it is, bare or in quotes.
function M.guard(text)
  local breaks = text:find("[\"'\\%c\127{}%[%],]") or text:find(": ", 1, true)
    or text:find(":$") or text:find(" #", 1, true) or text:find("^[&*!|>%%@`?#-]")
    or text:find("^%s") or text:find("%s$") or text:find("^%.%.%.") or has_break(text)
  if breaks then return nil, "would change what the YAML around it means; use | yaml" end
  return true
end

--- Reads a file: its value | nil, message, line.
function M.read(text)
  local value, message = core.yaml.decode(text)
  if value ~= nil then return value end
  local line, reason = message:match("^(%d+):%d+: (.*)$")
  local lines = 1 + select(2, text:gsub("\n", "")) -- YAML has other line breaks, too
  return nil, reason or message, math.min(tonumber(line) or 1, lines)
end

--- Writes a value | nil, message.
function M.write(value)
  local text, message = core.yaml.encode(value)
  if not text then return nil, message end
  return text:sub(-1) == "\n" and text or text .. "\n"
end

return M
