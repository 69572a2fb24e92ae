--- source -- reads what a user wrote: a script, YAML or JSON, from a path to a plain value.
local core = require "orrery.core"
local sandbox = require "orrery.sandbox"

local M = {}

local MAX_BYTES = 4 * 1024 * 1024

--- "file", "directory" or nil.
function M.kind(path)
  local stat = core.file.stat(path)
  return stat and (stat.type == "file" or stat.type == "directory") and stat.type or nil
end

local function extension(path) return path:match("%.([%w]+)$") end

--- The decoders say "line:column: reason".
local function decoded(format, text, path)
  local value, message = core[format].decode(text)
  if message then
    local line, column, reason = message:match("^(%d+):(%d+): (.*)$")
    return nil, { message = reason or message, file = path, line = math.tointeger(line),
      column = math.tointeger(column) }
  end
  if value == nil or value == core.json.null then return {} end
  return value
end

local READERS = {
  lua = function(text, path, options) return sandbox.run(text, path, options) end,
  yaml = function(text, path) return decoded("yaml", text, path) end,
  yml = function(text, path) return decoded("yaml", text, path) end,
  json = function(text, path) return decoded("json", text, path) end,
}

--- The value of the file at `path` | nil, {message, file, line, column}.
function M.read(path, options)
  local reader = READERS[extension(path) or ""]
  if not reader then
    return nil, { file = path, message = "is none of .lua, .yaml, .yml, .json" }
  end
  if M.kind(path) == "directory" then
    return nil, { file = path, message = "is a folder, not a file" }
  end
  local text, message = core.file.read(path, { max = MAX_BYTES })
  if not text then return nil, { file = path, message = message } end
  if not text:find("%S") then return nil, { file = path, message = "is empty" } end
  return reader(text, path, options)
end

return M
