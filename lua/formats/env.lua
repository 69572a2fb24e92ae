--- env -- NAME=value lines, in four styles: who reads them differs in quoting.
---
--- | style | read by | a value |
--- | (none) | sh (`. file`) and systemd (EnvironmentFile=) alike | bare or in double quotes |
--- | sh | sh only | the same; control characters and bytes that are no UTF-8 may be in it |
--- | systemd | systemd only | the same; reads all that systemd reads |
--- | docker | docker --env-file | as it is, so it has no line break |
local core = require "orrery.core"
local read_docker = require "orrery.envfile.docker"
local read_sh = require "orrery.envfile.sh"
local read_systemd = require "orrery.envfile.systemd"
local values = require "orrery.template.values"

local M = {}

local NAME = "^[%a_][%w_]*$"

-- Filters whose result is quoted for this format.
M.written_by = {env = true}

-- Why a text cannot be a value at all: systemd refuses such a variable.
local function unfit(text)
  if not utf8.len(text) then return "is not valid UTF-8" end
  if text:gsub("[\t\n]", ""):find("[%c\127]") then
    return "has a control character in it, which systemd refuses"
  end
end

local function unfit_for_sh(text)
  if text:find("\0", 1, true) then return "has a NUL byte in it" end
end

local function unfit_for_docker(text)
  if text:find("[\n\r\0]") then
    return "has a line break or a NUL byte in it, which docker --env-file cannot hold"
  end
  if not utf8.len(text) then return "is not valid UTF-8" end
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

local function guard_docker(text)
  local why = unfit_for_docker(text)
  return not why or nil, why
end

-- ---- writing ----

local function value_for_sh(text)
  local why = unfit_for_sh(text)
  if why then return nil, why end
  return core.text.env(text) or '"' .. text:gsub('["\\$`]', "\\%0") .. '"'
end

local function value_for_docker(text)
  local why = unfit_for_docker(text)
  return not why and text or nil, why
end

local function write_line(name, value, quote)
  if type(name) ~= "string" or not name:find(NAME) then
    return nil, ("%q is not the name of a variable"):format(tostring(name))
  end
  local text, why = values.text(value)
  if not text then return nil, ("%s is a %s, and a variable is a string"):format(name, why) end
  text, why = quote(text)
  if not text then return nil, name .. " " .. why end
  return name .. "=" .. text .. "\n"
end

local function write_with(map, quote)
  if type(map) ~= "table" then return nil, "an env file is written from a map" end
  local lines = {}
  for i, name in ipairs(values.keys(map)) do
    local line, why = write_line(name, map[name], quote)
    if not line then return nil, why end
    lines[i] = line
  end
  return table.concat(lines)
end

-- ---- the styles ----

M.styles = {
  sh = {
    read = function(text) return read_sh(text, unfit_for_sh) end,
    write = function(map) return write_with(map, value_for_sh) end,
    guard = M.guard, written_by = M.written_by,
  },
  systemd = {
    read = function(text) return read_systemd(text, unfit) end,
    write = function(map) return write_with(map, core.text.env) end,
    guard = M.guard, written_by = M.written_by,
  },
  docker = {
    read = function(text) return read_docker(text, unfit_for_docker) end,
    write = function(map) return write_with(map, value_for_docker) end,
    guard = guard_docker, written_by = {},
  },
}

--- One value as text of this format | nil, why not.
function M.value(value)
  local text, kind = values.text(value)
  if not text then return nil, "is a " .. kind .. ", and a variable is a string" end
  return core.text.env(text)
end

--- Writes a map | nil, message. options.style: one of the styles above.
function M.write(map, options)
  local name = options and options.style
  if not name then return write_with(map, core.text.env) end
  if not M.styles[name] then
    return nil, ("no style '%s'; use sh, systemd or docker"):format(tostring(name))
  end
  return M.styles[name].write(map)
end

--- Reads a file: a map of strings | nil, message, line.
function M.read(text) return read_sh(text, unfit) end

return M
