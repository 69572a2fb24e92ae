--- given -- values of variables from outside the stack: a file, the environment, the command line.
---
--- Each source becomes a map of settings; merge() lays them over those of the stack, the last one
--- wins: stack, file, environment, command line. Pure: who calls reads the files. Text from outside
--- is a value, never a template.
local core = require "orrery.core"
local formats = require "orrery.formats"
local suggest = require "orrery.suggest"
local values = require "orrery.template.values"

local M = {}

local PREFIX = "ORRERY_VAR_"
local MAX_PARTS = 16

local function failure(message) return nil, message end

-- The openings of sequences, escaped: a setting is a template, and this must stay what it is.
local function as_literal(value)
  if type(value) == "string" then return (value:gsub("([$%%]){", "%1%1{")) end
  if type(value) ~= "table" then return value end
  local copy = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do copy[key] = as_literal(item) end
  return copy
end

--- Settings whose strings stand for themselves.
M.literal = as_literal

local function path_of(text)
  local path = {}
  for part in (text .. "."):gmatch("(.-)%.") do
    if not part:find("^[%a_][%w_-]*$") or #path >= MAX_PARTS then return nil end
    path[#path + 1] = part
  end
  return path
end

--- Reads "a.b=c", as --var has it: {path = {"a", "b"}, text = "c"} | nil, message.
function M.parse(text)
  local name, value = text:match("^([^=]*)=(.*)$")
  if not name then return failure(("--var %s: expected NAME=VALUE"):format(text)) end
  local path = path_of(name)
  if path then return {path = path, text = value, name = name} end
  return failure(("--var %s: a name is letters, digits and '_', its parts joined by dots")
    :format(name))
end

-- ---- a text as a value of the declared type ----

local function to_number(text)
  local number = text:find("^%-?%d") and not text:find("^%-?0[xX]") and tonumber(text)
  return number or nil, "a number"
end

local BOOLEANS = {["true"] = true, ["false"] = false}

local function to_boolean(text) return BOOLEANS[text], "true or false" end

local function to_list(text)
  if text:find("^%s*%[") then
    local list = core.json.decode(text)
    return values.is_list(list) and list or nil, "a list in JSON, or items with commas between"
  end
  local list = core.json.array {}
  for item in (text .. ","):gmatch("(.-),") do list[#list + 1] = item end
  if text == "" then list[1] = nil end
  return list
end

local function to_map(text)
  local map = core.json.decode(text)
  return type(map) == "table" and not core.json.is_array(map) and map or nil, "an object in JSON"
end

local READERS = {number = to_number, boolean = to_boolean, array = to_list, object = to_map}

--- A text as a value of the declared type (nil: a string) | nil, message.
function M.value(text, declared, name)
  local read = READERS[declared and declared.type]
  if not read then return text end
  local value, expected = read(text)
  if value ~= nil then return value end
  local what = declared.secret and "its value" or ("%q"):format(text:sub(1, 40))
  return failure(("%s: %s is not %s"):format(name, what, expected))
end

-- What is declared for a path: the variable, or a property of it.
local function declared_at(declarations, path)
  local found = (declarations or {})[path[1]]
  for i = 2, #path do found = found and (found.properties or {})[path[i]] end
  return found
end

local function unknown(declarations, path, name)
  if next(declarations or {}) == nil or declarations[path[1]] then return nil end
  return ("'%s' is not a variable of this service%s"):format(name,
    suggest.hint(path[1], suggest.names(declarations)))
end

local function put(settings, path, value)
  for i = 1, #path - 1 do
    if type(settings[path[i]]) ~= "table" then settings[path[i]] = {} end
    settings = settings[path[i]]
  end
  settings[path[#path]] = value
end

-- One text for one path, into the settings; what is wrong goes to the problems.
local function take(into, declarations, path, text, name, problems)
  local value, message = nil, unknown(declarations, path, name)
  if not message then value, message = M.value(text, declared_at(declarations, path), name) end
  if message then problems[#problems + 1] = message else put(into, path, as_literal(value)) end
end

local function result(settings, problems)
  if #problems > 0 then return nil, problems end
  return settings
end

local function type_of(text)
  if text:find("^%s*%[") then return "array" end
  if text:find("^%s*{") then return "object" end
  return BOOLEANS[text] ~= nil and "boolean" or "string"
end

--- Declarations for where nothing is declared: lists and objects in JSON and booleans are what they
--- look like, all else is a string. `options` as of from_options(), `environ` as of
--- from_environment().
function M.guess(options, environ)
  local declarations = {}
  local function declare(path, text)
    local into = declarations
    for i = 1, #path do
      into[path[i]] = into[path[i]] or {type = "object", properties = {}}
      if i == #path then into[path[i]].type = type_of(text) end
      into = into[path[i]].properties
    end
  end
  for _, text in ipairs(options) do
    local option = M.parse(text)
    if option then declare(option.path, option.text) end
  end
  for name, text in pairs(environ or {}) do
    local path = name:sub(1, #PREFIX) == PREFIX and path_of((name:sub(#PREFIX + 1):gsub("__", ".")))
    if path then declare(path, text) end
  end
  return declarations
end

--- The settings that --var options give, in their order | nil, problems: all of them.
function M.from_options(options, declarations)
  local settings, problems = {}, {}
  for _, text in ipairs(options) do
    local option, message = M.parse(text)
    if option then take(settings, declarations, option.path, option.text, option.name, problems)
    else problems[#problems + 1] = message end
  end
  return result(settings, problems)
end

--- The settings of an environment (a map): ORRERY_VAR_port, ORRERY_VAR_database__host for a
--- property. Names that are not declared are left alone, since they may be another's.
function M.from_environment(environ, declarations, prefix)
  local settings, problems = {}, {}
  prefix = prefix or PREFIX
  for _, name in ipairs(suggest.names(environ)) do
    local path = name:sub(1, #prefix) == prefix
      and path_of((name:sub(#prefix + 1):gsub("__", ".")))
    if path and (declarations or {})[path[1]] then
      take(settings, declarations, path, environ[name], name, problems)
    end
  end
  return result(settings, problems)
end

-- Formats without types have texts where the declaration has others.
local function typed(value, declared, name, problems)
  if type(value) == "string" then
    local found, message = M.value(value, declared, name)
    if message then problems[#problems + 1] = message end
    return as_literal(found)
  end
  if type(value) ~= "table" or values.is_list(value) then return as_literal(value) end
  local copy = {}
  for key, item in pairs(value) do
    copy[key] = typed(item, ((declared or {}).properties or {})[key], name .. "." .. key, problems)
  end
  return copy
end

--- The settings of a file's text in a format | nil, problems.
function M.from_file(text, format, declarations, dir)
  local found, message = formats.get(format, dir)
  if not found then return nil, {message} end
  local map, why, line = found.read(text)
  if map == nil then return nil, {("line %d: %s"):format(line or 1, why)} end
  if type(map) ~= "table" or values.is_list(map) then
    return nil, {"expected a map of variables"}
  end
  local settings, problems = {}, {}
  for _, name in ipairs(suggest.names(map)) do
    local wrong = unknown(declarations, {name}, name)
    if wrong then problems[#problems + 1] = wrong
    else settings[name] = typed(map[name], (declarations or {})[name], name, problems) end
  end
  return result(settings, problems)
end

local function is_map(value)
  return type(value) == "table" and not values.is_list(value) and not getmetatable(value)
end

local function merged(below, above)
  if not (is_map(below) and is_map(above)) then return above end
  local copy = {}
  for key, value in pairs(below) do copy[key] = value end
  for key, value in pairs(above) do copy[key] = merged(below[key], value) end
  return copy
end

--- The settings of all sources in one map: later ones win, maps merge deep.
function M.merge(...)
  local settings = {}
  for _, source in ipairs {...} do settings = merged(settings, source) end
  return settings
end

return M
