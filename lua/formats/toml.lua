--- toml -- TOML 1.0 files. Dates read as strings, since Lua has none.
local core = require "orrery.core"
local read_toml = require "orrery.toml"
local values = require "orrery.template.values"

local M = {}

local MAX_DEPTH = 64

-- Filters whose result is a TOML value (a JSON string is one, too).
M.written_by = {toml = true, quote = true}

--- Whether a text may stand in a template as it is, bare or in quotes.
function M.guard(text)
  if text:find("[\"'\\%c\127{}%[%],#]") then
    return nil, "would change what the TOML around it means; use | toml, without quotes around it"
  end
  return true
end

local string_value = core.text.quote

local function key_text(key)
  if type(key) ~= "string" then return nil, "has a key that is a " .. type(key) end
  if key:find("^[%w_-]+$") then return key end
  return string_value(key)
end

local value_text -- defined below: values nest

local function list_text(list, depth)
  local parts, count = {}, 0
  for _ in pairs(list) do count = count + 1 end
  if count ~= #list then return nil, "is both a list and a map, or has holes" end
  for i, item in ipairs(list) do
    local text, why = value_text(item, depth + 1)
    if not text then return nil, ("[%d] %s"):format(i - 1, why) end
    parts[i] = text
  end
  return "[" .. table.concat(parts, ", ") .. "]"
end

local function inline_table(map, depth)
  local parts = {}
  for i, key in ipairs(values.keys(map)) do
    local name, why = key_text(key)
    local text
    if name then text, why = value_text(map[key], depth + 1) end
    if not text then return nil, ("%s %s"):format(tostring(key), why) end
    parts[i] = name .. " = " .. text
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function number_value(number)
  if number ~= number then return "nan" end
  if number == math.huge or number == -math.huge then return number > 0 and "inf" or "-inf" end
  local text = values.text(number)
  if math.type(number) == "float" and text:find("^-?%d+$") then text = text .. ".0" end
  return text
end

function value_text(value, depth)
  local kind = values.kind(value)
  if depth > MAX_DEPTH then return nil, "is nested more than 64 deep" end
  if kind == "string" then return string_value(value) end
  if kind == "number" then return number_value(value) end
  if kind == "boolean" then return tostring(value) end
  if kind == "array" and next(value) == nil and not core.json.is_array(value) then return "{}" end
  if kind == "array" then return list_text(value, depth) end
  if kind == "object" then return inline_table(value, depth) end
  return nil, kind == "null" and "is null, and TOML has no null" or "is a " .. kind
end

--- A value as it stands behind a `=`, on one line | nil, why not.
function M.value(value) return value_text(value, 0) end

local function is_map(value)
  return type(value) == "table" and next(value) ~= nil and not values.is_list(value)
end

-- A table with a heading of its own: its plain values first, then the tables in it.
local function write_table(lines, map, heading, depth)
  if depth > MAX_DEPTH then error("is nested more than 64 deep", 0) end
  local tables = {}
  for _, key in ipairs(values.keys(map)) do
    local name, why = key_text(key)
    local text
    if name and is_map(map[key]) then
      tables[#tables + 1] = {heading = heading and heading .. "." .. name or name, map = map[key]}
    else
      if name then text, why = value_text(map[key], 1) end
      if not text then error(("%s %s"):format(tostring(key), why), 0) end
      lines[#lines + 1] = name .. " = " .. text
    end
  end
  for _, inner in ipairs(tables) do
    if #lines > 0 then lines[#lines + 1] = "" end
    lines[#lines + 1] = "[" .. inner.heading .. "]"
    write_table(lines, inner.map, inner.heading, depth + 1)
  end
end

--- Writes a map | nil, message.
function M.write(map)
  if type(map) ~= "table" or map[1] ~= nil then return nil, "a TOML file is written from a map" end
  local lines = {}
  local ok, message = pcall(write_table, lines, map, nil, 0)
  if not ok then return nil, message end
  return #lines == 0 and "" or table.concat(lines, "\n") .. "\n"
end

--- Reads a file: a map | nil, message, line.
M.read = read_toml

return M
