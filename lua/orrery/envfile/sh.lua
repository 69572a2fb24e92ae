--- sh -- reads the env files that sh and systemd agree on: where the two differ, they are refused.
---
--- A value is bare (no blanks, and nothing that sh expands or ends a command at) or in quotes. In
--- double quotes a backslash stands before `"`, `\`, `$` and a backquote; anything between single
--- quotes is itself, and no single quote can be. Line breaks need quotes. A comment has its own
--- line. What sh would expand is refused: files are data.
local NAME = "^[%a_][%w_]*"
local MAX_TEXT = 1024 * 1024

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
  local why = r.unfit(value)
  if why then fail(r, at, name .. " " .. why) end
  map[name] = value
end

local function line_of(text, at) return 1 + select(2, text:sub(1, at - 1):gsub("\n", "")) end

--- Reads a file: a map of strings | nil, message, line. `unfit(value)` says why a value cannot be.
return function(text, unfit)
  if #text > MAX_TEXT then return nil, "an env file of more than 1 MiB", 1 end
  local r, map = {text = text, pos = 1, unfit = unfit}, {}
  while r.pos <= #r.text do
    local ok, problem = pcall(read_line, r, map)
    if not ok then
      if type(problem) ~= "table" then error(problem, 0) end
      return nil, problem.message, line_of(text, problem.at)
    end
  end
  return map
end
