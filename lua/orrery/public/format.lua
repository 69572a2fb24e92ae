--- orrery.format: texts of a format as values, and back. Documented in lua/meta/format.lua.
local formats = require "orrery.formats"

local M = {}

local function find(name, dir, what)
  if type(name) ~= "string" then
    error(("format.%s: expected the name of a format, such as toml"):format(what), 3)
  end
  return formats.get(name, dir)
end

function M.read(text, name, dir)
  if type(text) ~= "string" then error("format.read: expected a text", 2) end
  local format, message = find(name, dir, "read")
  if not format then return nil, message, "not_found" end
  local ok, value, problem, line = pcall(format.read, text) -- a user's may raise
  if not ok then return nil, tostring(value), "invalid" end
  if value ~= nil then return value end
  return nil, line and ("line %d: %s"):format(line, problem) or problem, "invalid"
end

function M.write(value, name, dir)
  local format, message = find(name, dir, "write")
  if not format then return nil, message, "not_found" end
  local ok, text, problem = pcall(format.write, value)
  if not ok then return nil, tostring(text), "invalid" end
  if text then return text end
  return nil, problem, "invalid"
end

--- The name of the format that a file's name says it has, or nil.
M.of_path = formats.of_path

return M
