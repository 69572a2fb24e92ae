--- docker -- reads what `docker --env-file` reads: all behind the `=` is the value, quotes too.
local MAX_TEXT = 1024 * 1024

local function read_line(map, line, unfit)
  line = line:match("^[ \t]*(.*)$")
  if line == "" or line:sub(1, 1) == "#" then return nil end
  local name, value = line:match("^([^=]*)=(.*)$")
  if not name then return "expected NAME=value or a comment" end
  if not name:find("^[%a_][%w_]*$") then return "expected NAME=value, no blanks in the name" end
  if map[name] then return name .. " is set twice" end
  local why = unfit(value)
  if why then return name .. " " .. why end
  map[name] = value
end

--- Reads a file: a map of strings | nil, message, line. `unfit(value)` says why a value cannot be.
return function(text, unfit)
  if #text > MAX_TEXT then return nil, "an env file of more than 1 MiB", 1 end
  local map, number = {}, 0
  for line in (text:find("\n$") and text or text .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local message = read_line(map, line, unfit)
    if message then return nil, message, number end
  end
  return map
end
