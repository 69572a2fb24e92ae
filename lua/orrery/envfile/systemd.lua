--- systemd -- reads an EnvironmentFile= as systemd does.
---
--- Quotes that follow each other are joined, blanks around a value go, a backslash outside of
--- quotes takes the next character as it is, and at the end of a line joins the next. What systemd
--- would ignore with a line in its log (no `=`, no name, an open quote) is refused.
local MAX_TEXT = 1024 * 1024
local BLANK = {[" "] = true, ["\t"] = true, ["\n"] = true, ["\r"] = true}
local BREAK = {["\n"] = true, ["\r"] = true}
local ESCAPED = {['"'] = true, ["\\"] = true, ["$"] = true, ["`"] = true}

local state = {} -- by name: function(r, char), which returns the name of the next state

local function put(r, char) r.value[#r.value + 1] = char end

local function finish(r)
  local name = r.key:gsub("[ \t]+$", "")
  local value = table.concat(r.value)
  if not name:find("^[%a_][%w_]*$") then return "expected NAME=value", r.line end
  local why = r.unfit(value)
  if why then return name .. " " .. why, r.line end
  r.map[name] = value
end

local function end_of_value(r)
  for i = #r.value, r.solid + 1, -1 do r.value[i] = nil end
  r.problem, r.at = finish(r)
  return "before_name"
end

function state.before_name(r, char)
  if char == "#" or char == ";" then return "comment" end
  if BLANK[char] then return "before_name" end
  r.key, r.value, r.solid, r.line = char, {}, 0, r.number
  if char == "=" then r.problem, r.at = "expected NAME=value", r.number end
  return "name"
end

function state.name(r, char)
  if BREAK[char] then r.problem, r.at = "expected NAME=value or a comment", r.line end
  if char == "=" then return "before_value" end
  r.key = r.key .. char
  if #r.key > 1000 then r.problem, r.at = "a name of more than 1000 characters", r.line end
  return "name"
end

function state.before_value(r, char)
  if BREAK[char] then return end_of_value(r) end
  if char == "'" then return "single" end
  if char == '"' then return "double" end
  if char == "\\" then return "escape" end
  if BLANK[char] then return "before_value" end
  return state.value(r, char)
end

function state.value(r, char)
  if BREAK[char] then return end_of_value(r) end
  if char == "\\" then return "escape" end
  put(r, char)
  if not BLANK[char] then r.solid = #r.value end
  return "value"
end

function state.escape(r, char)
  if not BREAK[char] then put(r, char) end
  r.solid = #r.value
  return "value"
end

function state.single(r, char)
  if char == "'" then return "before_value" end
  put(r, char)
  r.solid = #r.value
  return "single"
end

function state.double(r, char)
  if char == '"' then return "before_value" end
  if char == "\\" then return "double_escape" end
  put(r, char)
  r.solid = #r.value
  return "double"
end

function state.double_escape(r, char)
  if not ESCAPED[char] and char ~= "\n" then put(r, "\\") end
  if char ~= "\n" then put(r, char) end
  r.solid = #r.value
  return "double"
end

function state.comment(_, char)
  if char == "\\" then return "comment_escape" end
  return BREAK[char] and "before_name" or "comment"
end

function state.comment_escape() return "comment" end

local OPEN = {single = true, double = true, double_escape = true}

--- Reads a file: a map of strings | nil, message, line. `unfit(value)` says why a value cannot be.
return function(text, unfit)
  if #text > MAX_TEXT then return nil, "an env file of more than 1 MiB", 1 end
  local r, here = {map = {}, number = 1, unfit = unfit}, "before_name"
  for char in text:gmatch(".") do
    here = state[here](r, char)
    if r.problem then return nil, r.problem, r.at end
    if char == "\n" then r.number = r.number + 1 end
  end
  if OPEN[here] then return nil, "this quote is not closed", r.line end
  if here == "name" then return nil, "expected NAME=value", r.line end
  if here == "before_value" or here == "value" or here == "escape" then end_of_value(r) end
  if r.problem then return nil, r.problem, r.at end
  return r.map
end
