--- places -- where things are: the stack file that a target names, the node, the folders of a
-- stack. Reads; makes nothing.
local core = require "orrery.core"
local plugin = require "orrery.plugin"
local source = require "orrery.source"

local M = {}

M.SERVICE_USER = "atproto"

local is_root = core.process.user().uid == 0 -- asked once: many services start at a time
local STACK_FILES = { "stack.lua", "stack.yaml", "stack.yml", "stack.json" }

local function base_name(path) return path:match("([^/]+)/*$") or "" end

--- A name made of what a file or folder is called: "My Stack" gives "my-stack".
local function as_name(text)
  local name = text:lower():gsub("[^a-z0-9]+", "-"):sub(1, 32):gsub("^%-+", ""):gsub("%-+$", "")
  return name ~= "" and name or "stack"
end

local function at_file(path)
  local real = core.file.realpath(path) or path
  local dir = real:match("^(.*)/[^/]*$")
  if dir == "" then dir = "/" end
  local stem = base_name(real):gsub("%.%w+$", "")
  return { file = real, dir = dir, name = as_name(stem == "stack" and base_name(dir) or stem) }
end

--- Why a path cannot be looked at; nil if it can, or is not there.
local function closed(path)
  local stat, message, code = core.file.stat(path)
  if not stat and code == "denied" then return message .. "; run this as a user who may" end
end

--- The names of the stack files in a folder; nil, message if it cannot be looked at.
function M.stack_files(folder)
  local found = {}
  local refused = closed(folder .. "/" .. STACK_FILES[1])
  if refused then return nil, refused end
  for _, name in ipairs(STACK_FILES) do
    if source.kind(folder .. "/" .. name) == "file" then found[#found + 1] = name end
  end
  return found
end

local function in_folder(folder)
  local found, refused = M.stack_files(folder)
  if not found then return nil, refused end
  if #found == 1 then return at_file(folder .. "/" .. found[1]) end
  if #found > 1 then
    return nil,
      ("holds both %s; name the one you mean with -f"):format(table.concat(found, " and "))
  end
  return nil, ("holds no %s; write one, or name a stack file or a profile with -f, such as " ..
    "-f simple-pds"):format(table.concat(STACK_FILES, ", "))
end

local function looks_like_path(target)
  return target:find("/", 1, true) or target:find("%.lua$") or target:find("%.ya?ml$")
    or target:find("%.json$")
end

--- A stack that a script wrote down as a table.
local function in_table(value, dir)
  dir = core.file.realpath(dir or ".") or dir
  local profile = type(value.profile) == "string" and value.profile
  return { value = value, dir = dir, name = as_name(profile or base_name(dir)) }
end

--- What a target means: {file?, dir, name, profile?, value?} | nil, {message, file}. A table is the
-- stack itself, with `dir` (the current folder) as its folder.
function M.locate(target, dir)
  if type(target) == "table" then return in_table(target, dir) end
  local kind = source.kind(target)
  if kind == "file" then return at_file(target) end
  if kind == "directory" then
    local folder = core.file.realpath(target) or target
    local place, message = in_folder(folder)
    return place, message and { file = folder, message = message }
  end
  if looks_like_path(target) then
    local other = core.file.stat(target) and "is neither a file nor a folder"
    return nil, { file = target,
      message = other or closed(target) or "there is no such stack file" }
  end
  local here = core.file.realpath(".") or "."
  local path, message = plugin.find("profile", target, here)
  if path then return { dir = here, name = as_name(target), profile = target } end
  return nil, { file = target, message = "is neither a file nor a folder, and " .. message }
end

local function host_name()
  local name = core.process.hostname():lower()
    :gsub("%s+$", ""):gsub("[^a-z0-9.-]", "-"):gsub("^[.-]+", "")
  return name ~= "" and name or "localhost"
end

--- The name of this machine: `asked` (--node), $ORRERY_NODE, or the host name.
function M.node(asked)
  local from_env = os.getenv("ORRERY_NODE")
  if from_env == "" then from_env = nil end
  return asked or from_env or host_name()
end

--- Whether we are root, who uses the system's folders and runs services as another user.
function M.is_root() return is_root end

--- The user a service runs as; nil for our own. As root that is `atproto` unless the service says
-- otherwise.
function M.user_of(service)
  return service.user or M.is_root() and M.SERVICE_USER or nil
end

local function user_base()
  local state = os.getenv("XDG_STATE_HOME")
  if not state or state:sub(1, 1) ~= "/" then
    state = (os.getenv("HOME") or "/nonexistent") .. "/.local/state"
  end
  return state .. "/orrery"
end

--- The folder of discovery's files where no stack says another.
function M.discovery()
  return is_root and "/etc/atproto/discovery" or user_base() .. "/discovery"
end

local function below(state)
  return { state = state, run = state .. "/run", logs = state .. "/log",
    discovery = state .. "/discovery" }
end

local function absolute(path, dir)
  if path:sub(1, 1) == "/" then return path end
  return dir .. "/" .. path
end

local function default_dirs(name)
  if not M.is_root() then
    local dirs = below(user_base() .. "/" .. name)
    dirs.packages = user_base() .. "/packages"
    return dirs
  end
  return { state = "/var/lib/orrery/" .. name, run = "/run/orrery/" .. name,
    logs = "/var/log/orrery/" .. name, discovery = M.discovery(),
    packages = "/var/lib/orrery/packages" }
end

--- The folders of a stack. Root uses those of the system, others those of their home.
function M.dirs(stack)
  local dirs = default_dirs(stack.name)
  if stack.stateDir then
    local packages = dirs.packages
    dirs = below(absolute(stack.stateDir, stack.dir))
    dirs.packages = packages
  end
  local path = stack.discovery.filePath
  if path then dirs.discovery = absolute(path, stack.dir) end
  return dirs
end

--- The folders of one service.
function M.service_dirs(dirs, name, type_name)
  type_name = base_name(type_name):gsub("%.%w+$", "") -- a type may be given by its path
  return { data = dirs.state .. "/data/" .. name, config = dirs.state .. "/config/" .. name,
    logs = dirs.logs, package = dirs.packages .. "/" .. type_name }
end

return M
