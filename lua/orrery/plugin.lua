--- plugin -- finds the files that extend Orrery: profiles, types, filters, templates ...
--
-- No registration: <kind>s/<name>.lua beside the stack file, in each folder of $ORRERY_PATH, in
-- /etc/orrery, then built in; the first wins. A name with a "/" is a path.
local core = require "orrery.core"
local sandbox = require "orrery.sandbox"
local secret = require "orrery.secret"
local source = require "orrery.source"
local suggest = require "orrery.suggest"

local M = {}

local SYSTEM = "/etc/orrery"

-- Where the built-in ones lie below the root, and what their folder is called elsewhere.
local KINDS = {
  profile = { folder = "profiles", builtin = "profiles" },
  type = { folder = "types", builtin = "lua/types" },
  strategy = { folder = "strategies", builtin = "lua/strategies" },
  check = { folder = "checks", builtin = "lua/checks" },
  backend = { folder = "backends", builtin = "lua/backends" },
  filter = { folder = "filters", builtin = "lua/filters" },
  format = { folder = "formats", builtin = "lua/formats" },
  template = { folder = "templates", builtin = "templates", verbatim = true },
  package = { folder = "packages", builtin = "templates/packages", verbatim = true },
}

local function kind_of(kind)
  return KINDS[kind] or error(('there is no kind of plug-in "%s"'):format(tostring(kind)), 3)
end

--- The folder that holds lua/, profiles/ and templates/: the program knows its own; in a stock
-- lua5.4 it is two above this file.
function M.root()
  local root = core.script.root()
  if root then return root end
  local here = debug.getinfo(1, "S").source:match("^@(.*)lua/orrery/plugin%.lua$") or "./"
  return here == "" and "." or (here:gsub("(.)/$", "%1"))
end

--- The folders searched for a kind, in order. `dir` is the stack file's folder, or nil.
function M.dirs(kind, dir)
  local where, dirs = kind_of(kind), {}
  if dir then dirs[1] = dir .. "/" .. where.folder end
  for path in (os.getenv("ORRERY_PATH") or ""):gmatch("[^:]+") do
    dirs[#dirs + 1] = path .. "/" .. where.folder
  end
  dirs[#dirs + 1] = SYSTEM .. "/" .. where.folder
  dirs[#dirs + 1] = M.root() .. "/" .. where.builtin
  return dirs
end

local function is_name(name)
  return #name <= 100 and name:match("^[%w_][%w._-]*$") ~= nil and not name:find("..", 1, true)
end

local function file_of(kind, dir, name)
  return dir .. "/" .. name .. (kind_of(kind).verbatim and "" or ".lua")
end

local function entries(kind, dir)
  local names = {}
  for _, entry in ipairs(source.kind(dir) and core.file.list(dir) or {}) do
    local name = kind_of(kind).verbatim and entry or entry:match("^(.+)%.lua$")
    if name and is_name(name) then names[#names + 1] = name end
  end
  return names
end

--- Every plug-in of a kind: a list of {name, path}, sorted by name, the winning path of each.
function M.list(kind, dir)
  local found, seen = {}, {}
  for _, folder in ipairs(M.dirs(kind, dir)) do
    for _, name in ipairs(entries(kind, folder)) do
      if not seen[name] then
        seen[name] = true
        found[#found + 1] = { name = name, path = file_of(kind, folder, name) }
      end
    end
  end
  table.sort(found, function(a, b) return a.name < b.name end)
  return found
end

local function names_of(list)
  local names = {}
  for i, item in ipairs(list) do names[i] = item.name end
  return names
end

local function unknown(kind, name, dir)
  local names = names_of(M.list(kind, dir))
  local known = #names > 0 and " (there is: " .. table.concat(names, ", ") .. ")" or ""
  return nil, ('there is no %s "%s"%s%s'):format(kind, name, suggest.hint(name, names), known)
end

local function by_path(kind, name, dir)
  local path = name:sub(1, 1) == "/" and name or (dir or ".") .. "/" .. name
  if source.kind(path) then return path end
  if source.kind(path .. ".lua") then return path .. ".lua" end
  return nil, ('there is no %s at "%s"'):format(kind, path)
end

--- The path of a plug-in of this name, which is none of a file; nil if there is none.
function M.look(kind, name, dir)
  if not is_name(name) then return nil end
  for _, folder in ipairs(M.dirs(kind, dir)) do
    local path = file_of(kind, folder, name)
    if source.kind(path) then return path end
  end
  return nil
end

--- The path of a plug-in | nil, message with a suggestion.
function M.find(kind, name, dir)
  if name:find("/", 1, true) then return by_path(kind, name, dir) end
  if not is_name(name) then
    return nil, ('"%s" is no name of a %s: use letters, digits, ".", "_" and "-"')
      :format(name, kind)
  end
  local path = M.look(kind, name, dir)
  if path then return path end
  return unknown(kind, name, dir)
end

-- Filters and formats work on what services say; they get no patterns, which C cannot interrupt.
local function options_of(kind)
  if kind == "filter" or kind == "format" then return { patterns = false } end
  return { patterns = true, extra = M.stack_names() }
end

--- What stack files, profiles and types may call beyond plain Lua.
function M.stack_names()
  return { secret = secret.new, env = secret.env }
end

local function bounded(kind, path, value)
  -- These wait, so they run in a task, which has its bounds.
  if kind == "check" or kind == "backend" or kind == "strategy" then return value end
  local options = options_of(kind)
  if type(value) == "function" then return sandbox.bound(options, path, value) end
  if type(value) ~= "table" then return value end
  local result = {}
  for name, field in pairs(value) do
    result[name] = type(field) == "function" and sandbox.bound(options, path, field) or field
  end
  return result
end

--- Evaluates a plug-in's file. Its functions are bounded as the file was: a second, 256 MiB, no
-- waiting. Returns its value and path | nil, {message, file, line}.
function M.read(kind, name, dir)
  local path, message = M.find(kind, name, dir)
  if not path then return nil, { message = message } end
  local value, problem = source.read(path, options_of(kind))
  if value == nil then
    return nil, problem or { message = "returns nothing; end it with return", file = path }
  end
  return bounded(kind, path, value), path
end

return M
