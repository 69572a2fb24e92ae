--- env -- NAME=value lines that sh (`. file`) and systemd (EnvironmentFile=) read alike.
---
--- The two differ in much, so this format is what they agree on, and read() refuses the rest:
--- a value is bare (no blanks, and nothing that sh expands or ends a command at) or in quotes. In
--- double quotes a backslash stands before `"`, `\`, `$` and a backquote; anything between single
--- quotes is itself, and no single quote can be. Line breaks need quotes. A comment has its own
--- line. What sh would expand is refused: files are data.
local values = require "orrery.template.values"

local M = {}

local NAME = "^[%a_][%w_]*"
local BARE = "^[%w_@%%+:,./=\128-\255-]+$"
local MAX_TEXT = 1024 * 1024
local STYLES = {sh = true, docker = true}

-- Filters whose result is quoted for this format.
M.written_by = {env = true}

-- Why a text cannot be a value at all: systemd refuses such a variable.
local function unfit(text)
  if not utf8.len(text) then return "is not valid UTF-8" end
  if text:gsub("[\t\n]", ""):find("[%c\127]") then
    return "has a control character in it, which systemd refuses"
  end
end

--- Whether a text may stand in a template as it is.
function M.guard(text)
  local why = unfit(text)
  if why then return nil, why end
  if text:find("[\n\t\"'\\$`]") then
    return nil, "has a line break, a quote, a '\\' or a '$' in it; use | env, which quotes it"
  end
  return true
end

local function quoted(text) return '"' .. text:gsub('["\\$`]', "\\%0") .. '"' end

--- One value as text of this format | nil, why not.
function M.value(value)
  local text, kind = values.text(value)
  if not text then return nil, "is a " .. kind .. ", and a variable is a string" end
  local why = unfit(text)
  if why then return nil, why end
  if text == "" or text:find(BARE) then return text end
  return quoted(text)
end

local function docker_value(value)
  local text, kind = values.text(value)
  if not text then return nil, "is a " .. kind .. ", and a variable is a string" end
  if not text:find("[%z\r\n]") then return text end
  return nil, "has a line break, which docker --env-file cannot hold"
end

--- Writes a map. options.style: "sh" (default; also for systemd) or "docker" (--env-file, which
--- takes everything behind the `=` as it is).
function M.write(map, options)
  local style = options and options.style or "sh"
  if not STYLES[style] then return nil, ("no style '%s'; use sh or docker"):format(style) end
  if type(map) ~= "table" then return nil, "an env file is written from a map" end
  local write, lines = style == "docker" and docker_value or M.value, {}
  for i, name in ipairs(values.keys(map)) do
    if type(name) ~= "string" or not name:find(NAME .. "$") then
      return nil, ("%q is not the name of a variable"):format(tostring(name))
    end
    local text, why = write(map[name])
    if not text then return nil, name .. " " .. why end
    lines[i] = name .. "=" .. text .. "\n"
  end
  return table.concat(lines)
end

-- ---- reading ----

local REFUSED = {
  ["$"] = "sh would expand this '$'; write \\$ in double quotes",
  ["`"] = "sh would run what is behind this backquote; write \\` in double quotes",
  ["~"] = "sh may expand this '~'; put the value in quotes",
  ["'"] = "a quote in the middle of a bare value; quote the whole value",
  ['"'] = "a quote in the middle of a bare value; quote the whole value",
}

local function fail(r, at, message) error({at = at or r.pos, message = message}, 0) end

local function single_quoted(r)
  local stop = r.text:find("'", r.pos + 1, true) or fail(r, nil, "this quote is not closed")
  local text = r.text:sub(r.pos + 1, stop - 1)
  r.pos = stop + 1
  return text
end

local ESCAPED = {['"'] = '"', ["\\"] = "\\", ["$"] = "$", ["`"] = "`", ["\n"] = ""}

local function double_quoted(r)
  local parts, at = {}, r.pos
  r.pos = r.pos + 1
  while true do
    local stop = r.text:find('["\\$`]', r.pos) or fail(r, at, "this quote is not closed")
    parts[#parts + 1] = r.text:sub(r.pos, stop - 1)
    local char = r.text:sub(stop, stop)
    r.pos = stop + 1
    if char == '"' then return table.concat(parts) end
    if char ~= "\\" then fail(r, stop, REFUSED[char]) end
    local letter = r.text:sub(r.pos, r.pos)
    parts[#parts + 1] = ESCAPED[letter] or "\\" .. letter
    r.pos = r.pos + 1
  end
end

local function refuse_bare(r, char)
  fail(r, nil, REFUSED[char] or ("'%s' has a meaning to sh; put the value in quotes")
    :format((char:gsub("[%c\127]", "?"))))
end

-- Characters of a bare value up to a blank or the line's end.
local function bare(r)
  local parts = {}
  while true do
    local _, stop = r.text:find("^[%w_@%%+:,./=^#!?*%[%]{}\128-\255-]+", r.pos)
    if stop then
      parts[#parts + 1] = r.text:sub(r.pos, stop)
      r.pos = stop + 1
    end
    local char = r.text:sub(r.pos, r.pos)
    if char == "" or char:find("^[ \t\n]") then return table.concat(parts) end
    if char ~= "\\" or not r.text:find("^[^%c\127]", r.pos + 1) then refuse_bare(r, char) end
    parts[#parts + 1] = r.text:sub(r.pos + 1, r.pos + 1)
    r.pos = r.pos + 2
  end
end

local function read_value(r)
  local parts = {}
  while true do
    local char = r.text:sub(r.pos, r.pos)
    if char == '"' then
      parts[#parts + 1] = double_quoted(r)
    elseif char == "'" then
      parts[#parts + 1] = single_quoted(r)
    else
      parts[#parts + 1] = bare(r)
      return table.concat(parts)
    end
  end
end

local function end_of_line(r)
  local _, blanks = r.text:find("^[ \t]*", r.pos)
  r.pos = blanks + 1
  local char = r.text:sub(r.pos, r.pos)
  if char == "#" then fail(r, nil, "a comment needs a line of its own") end
  if char ~= "" and char ~= "\n" then fail(r, nil, "a value with blanks must be in quotes") end
  r.pos = r.pos + 1
end

local function skip_comment(r)
  local stop = r.text:find("\n", r.pos, true) or #r.text + 1
  if r.text:sub(stop - 1, stop - 1) == "\\" then
    fail(r, stop - 1, "systemd would carry this comment on to the next line")
  end
  r.pos = stop + 1
end

local function read_line(r, map)
  r.pos = r.text:find("[^ \t\n]", r.pos) or #r.text + 1
  if r.pos > #r.text then return end
  if r.text:sub(r.pos, r.pos) == "#" then return skip_comment(r) end
  local at = r.pos
  local name = r.text:match(NAME, at)
  if not name or r.text:sub(at + #name, at + #name) ~= "=" then
    fail(r, at, "expected NAME=value (without blanks, without export) or a comment")
  end
  if map[name] then fail(r, at, name .. " is set twice") end
  r.pos = at + #name + 1
  local value = read_value(r)
  end_of_line(r)
  local why = unfit(value)
  if why then fail(r, at, name .. " " .. why) end
  map[name] = value
end

local function line_of(text, at) return 1 + select(2, text:sub(1, at - 1):gsub("\n", "")) end

--- Reads a file: a map of strings | nil, message, line.
function M.read(text)
  if #text > MAX_TEXT then return nil, "an env file of more than 1 MiB", 1 end
  local r, map = {text = text, pos = 1}, {}
  while r.pos <= #text do
    local ok, problem = pcall(read_line, r, map)
    if not ok then
      if type(problem) ~= "table" then error(problem, 0) end
      return nil, problem.message, line_of(text, problem.at)
    end
  end
  return map
end

return M
