--- ini -- INI files: `key = value` lines in [sections]; all values are strings.
---
--- A value is bare, or in double quotes with \" \\ \n \r \t \xHH where blanks at an end, quotes,
--- comment signs or control characters need it. Comments (`;` or `#`) have lines of their own.
local core = require "orrery.core"
local values = require "orrery.template.values"

local M = {}

local MAX_TEXT = 1024 * 1024
local UNESCAPES = {n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\"}

-- Filters whose result may stand behind a `=`.
M.written_by = {ini = true, quote = true}

--- Whether a text may stand in a template as it is.
function M.guard(text)
  if text:find('["\\%c\127;#]') or text:find("^%s") or text:find("%s$") then
    return nil, "has a quote, a comment sign, a '\\' or a control character in it; use | ini, "
      .. "which quotes it"
  end
  return true
end

local function value_text(value)
  local text, kind = values.text(value)
  if not text then return nil, "is a " .. kind .. ", and INI has only strings" end
  return core.text.ini(text)
end

-- For readers that know no quotes, such as Python's configparser.
local function plain_text(value)
  local text, kind = values.text(value)
  if not text then return nil, "is a " .. kind .. ", and INI has only strings" end
  if not utf8.len(text) then return nil, "is not valid UTF-8" end
  local edges = text:sub(1, 1) .. text:sub(-1)
  if text:find("[%c\127]") or edges:find("[^!-~]") then
    return nil, "has a control character, or a blank at an end, which needs quotes"
  end
  return text
end

local function is_name(name)
  if type(name) ~= "string" or name == "" or not utf8.len(name) then return false end
  return not name:find("[%c\127=:;#%[%]\"\\]") and not name:find("^%s") and not name:find("%s$")
end

local function write_section(lines, map, inner, quote)
  for _, key in ipairs(values.keys(map)) do
    if not is_name(key) then error(("%q is no key"):format(tostring(key)), 0) end
    if inner or values.kind(map[key]) ~= "object" then
      local text, why = quote(map[key])
      if not text then error(("%s %s"):format(key, why), 0) end
      lines[#lines + 1] = key .. " = " .. text
    end
  end
end

local function write_all(map, quote)
  local lines = {}
  write_section(lines, map, false, quote)
  for _, name in ipairs(values.keys(map)) do
    if values.kind(map[name]) == "object" then
      if not is_name(name) then error(("%q is no section"):format(tostring(name)), 0) end
      lines[#lines + 1] = (#lines > 0 and "\n[" or "[") .. name .. "]"
      write_section(lines, map[name], true, quote)
    end
  end
  return lines
end

local function write_with(map, quote)
  if type(map) ~= "table" or map[1] ~= nil then return nil, "an INI file is written from a map" end
  local ok, lines = pcall(write_all, map, quote)
  if not ok then return nil, lines end
  return #lines == 0 and "" or table.concat(lines, "\n") .. "\n"
end

--- Writes a map of strings and of sections, which are maps of strings | nil, message.
--- options.style: "plain" for readers that know no quotes; then what would need them is refused.
function M.write(map, options)
  local style = options and options.style
  if style and style ~= "plain" then return nil, ("no style '%s'; use plain"):format(style) end
  return write_with(map, style and plain_text or value_text)
end

-- ---- reading ----

local function unescape(code)
  local known = UNESCAPES[code:sub(1, 1)]
  if known then return known .. code:sub(2) end
  local hex = code:match("^x(%x%x)$")
  if hex then return string.char(tonumber(hex, 16)) end
  error("this escape does not exist", 0)
end

-- The inside of a quoted value, or an error if the quote ends before the line does.
local function unquoted(text)
  local parts, pos = {}, 2
  while true do
    local stop = text:find('["\\]', pos) or error("this quote is not closed", 0)
    parts[#parts + 1] = text:sub(pos, stop - 1)
    if text:sub(stop, stop) == '"' then
      if stop ~= #text then error("nothing may be behind the closing quote", 0) end
      return table.concat(parts)
    end
    local size = text:sub(stop + 1, stop + 1) == "x" and 3 or 1
    parts[#parts + 1] = unescape(text:sub(stop + 1, stop + size))
    pos = stop + 1 + size
  end
end

local function trimmed(text)
  local first = text:find("%S")
  if not first then return "" end
  local last = #text
  while text:find("^%s", last) do last = last - 1 end
  return text:sub(first, last)
end

local function read_plain(text) return text end

local function read_value(text)
  if text:sub(1, 1) == '"' then return unquoted(text) end
  if text:find("[;#]") then error("a ';' or '#' in a value needs double quotes around it", 0) end
  return text
end

local function new_section(state, line)
  local name = line:match("^%[([^%]]*)%]$")
  if not is_name(name) then error("expected [section]", 0) end
  if state.map[name] ~= nil then error(("'%s' is there twice"):format(name), 0) end
  state.section = {}
  state.map[name] = state.section
end

local function read_line(state, line)
  line = trimmed(line)
  local first = line:sub(1, 1)
  if line == "" or first == ";" or first == "#" then return end
  if first == "[" then return new_section(state, line) end
  local equals = line:find("=", 1, true) or error("expected key = value", 0)
  local key = trimmed(line:sub(1, equals - 1))
  if not is_name(key) then error("this is no key", 0) end
  if state.section[key] ~= nil then error(("'%s' is there twice"):format(key), 0) end
  state.section[key] = state.read(trimmed(line:sub(equals + 1)))
end

local function read_with(text, read)
  if #text > MAX_TEXT then return nil, "an INI file of more than 1 MiB", 1 end
  if not utf8.len(text) then return nil, "is not valid UTF-8", 1 end
  local map, number = {}, 0
  local state = {map = map, section = map, read = read}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local ok, message = pcall(read_line, state, line)
    if not ok then return nil, message, number end
  end
  return map
end

--- Reads a file: a map of strings and of sections | nil, message, line.
function M.read(text) return read_with(text, read_value) end

local function guard_plain(text)
  if plain_text(text) then return true end
  return nil, "has a control character or a blank at an end, which such a file cannot hold"
end

M.styles = {plain = {
  read = function(text) return read_with(text, read_plain) end,
  write = function(map) return write_with(map, plain_text) end,
  guard = guard_plain, written_by = {},
}}

return M
