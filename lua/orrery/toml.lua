--- toml -- reads TOML 1.0: text to a map. Dates and times are returned as strings.
local core = require "orrery.core"

local MAX_TEXT = 16 * 1024 * 1024
local MAX_DEPTH = 64

local ESCAPES = {b = "\b", t = "\t", n = "\n", f = "\f", r = "\r", ['"'] = '"', ["\\"] = "\\"}

-- r.state of a table: "named" by a heading, "tables" (a list made by headings), "closed" (inline),
-- or the number of the section whose dotted keys made it: only that section may add to it.
local function fail(r, message, at) error({at = at or r.pos, message = message}, 0) end

local function at(r, pattern) return r.text:match("^" .. pattern, r.pos) end

local function skip_blanks(r) r.pos = r.text:find("[^ \t]", r.pos) or #r.text + 1 end

local function skip_comment(r)
  if r.text:sub(r.pos, r.pos) ~= "#" then return end
  local stop = r.text:find("[^\t\32-\126\128-\255]", r.pos) or #r.text + 1
  if stop <= #r.text and not r.text:find("^\r?\n", stop) then
    fail(r, "a control character in a comment", stop)
  end
  r.pos = stop
end

-- Blanks, comments and line breaks: between the items of an array, and between lines.
local function skip_lines(r)
  repeat
    local before = r.pos
    skip_blanks(r)
    skip_comment(r)
    local newline = at(r, "\r?\n")
    if newline then r.pos = r.pos + #newline end
  until r.pos == before
end

local function end_of_line(r)
  skip_blanks(r)
  skip_comment(r)
  if r.pos > #r.text then return end
  local newline = at(r, "\r?\n") or fail(r, "expected the end of the line")
  r.pos = r.pos + #newline
end

local function unicode(r, digits)
  local hex = r.text:sub(r.pos + 2, r.pos + 1 + digits)
  local code = #hex == digits and hex:find("^%x+$") and tonumber(hex, 16)
  if not code or code > 0x10FFFF or (code >= 0xD800 and code < 0xE000) then
    fail(r, "this is no Unicode character")
  end
  r.pos = r.pos + 2 + digits
  return utf8.char(code)
end

local function escape(r, multiline)
  local letter = r.text:sub(r.pos + 1, r.pos + 1)
  if letter == "u" then return unicode(r, 4) end
  if letter == "U" then return unicode(r, 8) end
  local fold = multiline and r.text:match("^\\[ \t]*\r?\n[ \t\r\n]*", r.pos)
  if fold then
    r.pos = r.pos + #fold
    return ""
  end
  r.pos = r.pos + 2
  return ESCAPES[letter] or fail(r, "this escape does not exist", r.pos - 2)
end

local function no_controls(r, text, from, allowed)
  local found = text:gsub("\r\n", "\n"):gsub(allowed, ""):find("[%c\127]")
  if found then fail(r, "a control character in a string", from) end
  return text
end

local function basic_string(r)
  local parts, from = {}, r.pos
  r.pos = r.pos + 1
  while true do
    local stop = r.text:find('["\\\n]', r.pos) or fail(r, "this string is not closed", from)
    parts[#parts + 1] = no_controls(r, r.text:sub(r.pos, stop - 1), from, "\t")
    r.pos = stop
    local char = r.text:sub(stop, stop)
    if char == "\n" then fail(r, "this string is not closed", from) end
    if char == '"' then break end
    parts[#parts + 1] = escape(r)
  end
  r.pos = r.pos + 1
  return table.concat(parts)
end

local function literal_string(r)
  local stop = r.text:find("['\n]", r.pos + 1)
  if not stop or r.text:sub(stop, stop) == "\n" then fail(r, "this string is not closed") end
  local text = no_controls(r, r.text:sub(r.pos + 1, stop - 1), r.pos, "\t")
  r.pos = stop + 1
  return text
end

-- A string in three quotes may end in five: two of them are its own.
local function closing_quotes(r, quote)
  local run = #r.text:match("^" .. quote .. "+", r.pos)
  if run < 3 then return nil, quote:rep(run), run end
  if run > 5 then fail(r, "too many quotes at the end of this string") end
  return true, quote:rep(run - 3), run
end

local function multiline_string(r, quote)
  local parts, from = {}, r.pos
  r.pos = r.pos + 3
  r.pos = r.pos + #(r.text:match("^\r?\n", r.pos) or "")
  local stops = quote == '"' and '["\\]' or "[']"
  while true do
    local stop = r.text:find(stops, r.pos) or fail(r, "this string is not closed", from)
    parts[#parts + 1] = no_controls(r, r.text:sub(r.pos, stop - 1), from, "[\t\n]")
    r.pos = stop
    if r.text:sub(stop, stop) == "\\" then
      parts[#parts + 1] = escape(r, true)
    else
      local done, own, run = closing_quotes(r, quote)
      parts[#parts + 1] = own
      r.pos = r.pos + run
      if done then return table.concat(parts) end
    end
  end
end

local function key_part(r)
  local char = r.text:sub(r.pos, r.pos)
  if char == '"' then return basic_string(r) end
  if char == "'" then return literal_string(r) end
  local name = at(r, "[%w_-]+") or fail(r, "expected a key")
  r.pos = r.pos + #name
  return name
end

local function key_path(r)
  local path = {}
  repeat
    skip_blanks(r)
    path[#path + 1] = key_part(r)
    if #path > MAX_DEPTH then fail(r, "a key of more than 64 parts") end
    skip_blanks(r)
    local dot = r.text:sub(r.pos, r.pos) == "."
    if dot then r.pos = r.pos + 1 end
  until not dot
  return path
end

local BASES = {["0x"] = {16, "^%x+$"}, ["0o"] = {8, "^[0-7]+$"}, ["0b"] = {2, "^[01]+$"}}

local function based_integer(r, word)
  local base = BASES[word:sub(1, 2)]
  local digits = word:sub(3)
  if not base or not digits:find(base[2]) then return nil end
  local value = 0
  for digit in digits:gmatch(".") do
    if value > (math.maxinteger - 15) // base[1] then
      fail(r, "a number of more than 64 bits", r.pos - #word)
    end
    value = value * base[1] + tonumber(digit, 16)
  end
  return value
end

local SPECIAL = {inf = math.huge, ["+inf"] = math.huge, ["-inf"] = -math.huge, nan = 0 / 0,
                 ["+nan"] = 0 / 0, ["-nan"] = 0 / 0}

local function is_decimal(word)
  local whole, rest = word:match("^[+-]?(%d+)(.*)$")
  if not whole or whole:find("^0%d") then return false end
  local behind = rest:match("^%.%d+(.*)$") or rest
  return behind == "" or behind:find("^[eE][+-]?%d+$") ~= nil
end

local function number(r, word)
  if SPECIAL[word] then return SPECIAL[word] end
  local digit = word:sub(1, 2) == "0x" and "%x" or "%d"
  local between = word:gsub(("%s_%%f[%s]"):format(digit, digit), "0") -- a '_' stands between digits
  if between:find("_", 1, true) then return nil end
  local plain = word:gsub("_", "")
  local based = based_integer(r, plain)
  if based then return based end
  if not is_decimal(plain) then return nil end
  local value = tonumber((plain:gsub("^%+", "")))
  if plain:find("^[+-]?%d+$") and math.type(value) ~= "integer" then
    fail(r, "a number of more than 64 bits", r.pos - #word)
  end
  return value
end

local DAYS = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

local function is_day(text)
  local year, month, day = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)$")
  if not year then return false end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  local last = month == 2 and leap and 29 or DAYS[month]
  return last ~= nil and day >= 1 and day <= last
end

local function is_time(text)
  local hour, minute, second, rest = text:match("^(%d%d):(%d%d):(%d%d)(.*)$")
  if not hour or (rest ~= "" and not rest:find("^%.%d+$")) then return false end
  return tonumber(hour) <= 23 and tonumber(minute) <= 59 and tonumber(second) <= 60
end

local function without_offset(text)
  local hour, minute = text:match("[+-](%d%d):(%d%d)$")
  if hour and tonumber(hour) <= 23 and tonumber(minute) <= 59 then return text:sub(1, -7) end
  return (text:gsub("[Zz]$", ""))
end

local function is_date(word)
  if is_day(word) or is_time(word) then return true end
  local day, time = word:sub(1, 10), word:sub(12)
  return word:find("^[Tt ]", 11) ~= nil and is_day(day) and is_time(without_offset(time))
end

-- A date may have a blank before its time.
local function bare_value(r)
  local word = at(r, "%d%d%d%d%-%d%d%-%d%d %d%d:[%w:.+-]*") or at(r, "[%w_+.:-]+")
    or fail(r, "expected a value")
  r.pos = r.pos + #word
  if word == "true" then return true end
  if word == "false" then return false end
  local value = number(r, word)
  if value ~= nil then return value end
  if is_date(word) then return word end
  fail(r, ("'%s' is no value; a string needs quotes"):format(word:sub(1, 40)), r.pos - #word)
end

local value -- defined below: values nest

local function array(r, depth)
  local list = core.json.array {}
  r.pos = r.pos + 1
  while true do
    skip_lines(r)
    if r.text:sub(r.pos, r.pos) == "]" then break end
    list[#list + 1] = value(r, depth + 1)
    skip_lines(r)
    local char = r.text:sub(r.pos, r.pos)
    if char == "]" then break end
    if char ~= "," then fail(r, "expected ',' or ']'") end
    r.pos = r.pos + 1
  end
  r.pos = r.pos + 1
  return list
end

-- One step down: the table at a key, made where it is missing; of a list of tables the last.
local function step(r, map, key)
  local found = map[key]
  if found == nil then
    found = {}
    map[key] = found
  end
  if type(found) ~= "table" or r.state[found] == "closed" then
    fail(r, ("'%s' is set already, and is no table to add to"):format(key))
  end
  return found
end

-- The table that a heading's path leads to: through tables of every kind.
local function descend(r, map, path, last)
  for i = 1, last do
    local found = step(r, map, path[i])
    map = r.state[found] == "tables" and found[#found] or found
  end
  return map
end

-- The table that a dotted key leads to: it must be this section's own.
local function descend_dotted(r, map, path, from)
  for i = 1, #path - 1 do
    local found = step(r, map, path[i])
    local state = r.state[found]
    if state ~= nil and state ~= r.section then
      fail(r, ("the table '%s' has its own heading, or another section made it"):format(path[i]),
        from)
    end
    r.state[found] = r.section
    map = found
  end
  return map
end

local function assign(r, map, depth)
  local from = r.pos
  local path = key_path(r)
  if r.text:sub(r.pos, r.pos) ~= "=" then fail(r, "expected '=' after the key") end
  r.pos = r.pos + 1
  skip_blanks(r)
  local into, key = descend_dotted(r, map, path, from), path[#path]
  if into[key] ~= nil then fail(r, ("'%s' is set twice"):format(key), from) end
  into[key] = value(r, depth + 1)
end

local function new_section(r)
  r.sections = r.sections + 1
  r.section = r.sections
end

local function inline_table(r, depth)
  local map, outer = {}, r.section
  new_section(r)
  r.pos = r.pos + 1
  skip_blanks(r)
  if r.text:sub(r.pos, r.pos) ~= "}" then
    while true do
      assign(r, map, depth)
      skip_blanks(r)
      local char = r.text:sub(r.pos, r.pos)
      if char == "}" then break end
      if char ~= "," then fail(r, "expected ',' or '}'") end
      r.pos = r.pos + 1
    end
  end
  r.pos = r.pos + 1
  r.state[map], r.section = "closed", outer
  return map
end

function value(r, depth)
  if depth > MAX_DEPTH then fail(r, "nested more than 64 deep") end
  local three, char = r.text:sub(r.pos, r.pos + 2), r.text:sub(r.pos, r.pos)
  if three == '"""' or three == "'''" then return multiline_string(r, char) end
  if char == '"' then return basic_string(r) end
  if char == "'" then return literal_string(r) end
  if char == "{" then return inline_table(r, depth) end
  if char ~= "[" then return bare_value(r) end
  local list = array(r, depth)
  r.state[list] = "closed"
  return list
end

local function close_heading(r, bracket)
  if r.text:sub(r.pos, r.pos + #bracket - 1) ~= bracket then fail(r, "expected " .. bracket) end
  r.pos = r.pos + #bracket
  end_of_line(r)
end

-- [[name]]: one more table of a list.
local function list_heading(r, root)
  r.pos = r.pos + 2
  local path = key_path(r)
  local into, key = descend(r, root, path, #path - 1), path[#path]
  local list = into[key]
  if list == nil then
    list = core.json.array {}
    into[key], r.state[list] = list, "tables"
  end
  if r.state[list] ~= "tables" then fail(r, ("'%s' is set already"):format(key)) end
  list[#list + 1] = {}
  r.state[list[#list]] = "named"
  close_heading(r, "]]")
  return list[#list]
end

local function heading(r, root)
  r.pos = r.pos + 1
  local path = key_path(r)
  local map = step(r, descend(r, root, path, #path - 1), path[#path])
  if r.state[map] ~= nil then fail(r, ("the table '%s' is there twice"):format(path[#path])) end
  r.state[map] = "named"
  close_heading(r, "]")
  return map
end

local function read_all(r)
  local root = {}
  local map = root
  skip_lines(r)
  while r.pos <= #r.text do
    if r.text:sub(r.pos, r.pos) == "[" then new_section(r) end
    if r.text:sub(r.pos, r.pos + 1) == "[[" then
      map = list_heading(r, root)
    elseif r.text:sub(r.pos, r.pos) == "[" then
      map = heading(r, root)
    else
      assign(r, map, 0)
      end_of_line(r)
    end
    skip_lines(r)
  end
  return root
end

--- Reads a file: a map | nil, message, line.
return function(text)
  if #text > MAX_TEXT then return nil, "a TOML file of more than 16 MiB", 1 end
  if not utf8.len(text) then return nil, "is not valid UTF-8", 1 end
  local r = {text = text, pos = 1, state = {}, section = 0, sections = 0}
  local ok, result = pcall(read_all, r)
  if ok then return result end
  if type(result) ~= "table" then error(result, 0) end
  return nil, result.message, 1 + select(2, text:sub(1, result.at - 1):gsub("\n", ""))
end
