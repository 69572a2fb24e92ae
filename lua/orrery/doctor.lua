--- doctor -- looks at the machine and at a stack for what would go wrong. Changes nothing.
--
-- A finding is {subject, state = "ok" | "warn" | "fail", message, help}.
local core = require "orrery.core"
local places = require "orrery.places"
local plugin = require "orrery.plugin"
local suggest = require "orrery.suggest"

local file, net, process = core.file, core.net, core.process

local M = {}

local LOW_SPACE = 1024 * 1024 * 1024 -- bytes
local FEW_FILES = 1024
local BACKEND_SECONDS = 5

local function finding(subject, state, message, help)
  return { subject = subject, state = state, message = message, help = help }
end

-- ---- the machine ----

local function program()
  return finding("orrery", "ok", ("version %s, %s"):format(core.version, process.executable()
    or "as a Lua module"))
end

local function open_files()
  local limits = file.read("/proc/self/limits") or ""
  local soft = tonumber(limits:match("Max open files%s+(%d+)"))
  if not soft or soft >= FEW_FILES then
    return finding("open files", "ok", ("%s may be open"):format(soft or "any number"))
  end
  return finding("open files", "warn", ("only %d may be open"):format(soft),
    "raise it with `ulimit -n`, or LimitNOFILE= of the unit that starts orrery")
end

local function service_user()
  if not places.is_root() then
    return finding("user", "ok", ("services run as %s"):format(process.user().name))
  end
  local user = process.lookup_user(places.SERVICE_USER)
  if user then
    return finding("user", "ok", ("services run as %s"):format(places.SERVICE_USER))
  end
  return finding("user", "fail", ("there is no user '%s', as whom root's services run")
    :format(places.SERVICE_USER), "`make install` makes it, or say `user` for each service")
end

-- ---- the stack ----

local function nearest_folder(path)
  while path ~= "/" and not file.stat(path) do path = path:match("^(.*)/[^/]*$") end
  return path == "" and "/" or path
end

local function folder(stack, name)
  local path = stack.dirs[name]
  local ok, message = file.writable(nearest_folder(path))
  if not ok then
    return finding(name .. " folder", "fail", message,
      "run orrery as a user who may write there, or set stateDir")
  end
  local space = file.space(nearest_folder(path))
  if space and space.free < LOW_SPACE then
    return finding(name .. " folder", "warn", ("%s: only %d MiB are free"):format(path,
      space.free // (1024 * 1024)), "make room, or set stateDir to another disk")
  end
  return finding(name .. " folder", "ok", path)
end

--- The secrets that Orrery keeps are nobody else's to read.
local function secrets(stack)
  local dir = stack.dirs.state .. "/secrets"
  local open = {}
  for _, name in ipairs(file.list(dir) or {}) do
    local stat = file.stat(dir .. "/" .. name)
    if stat and stat.mode & 63 ~= 0 and name:sub(1, 1) ~= "." then open[#open + 1] = name end
  end
  if #open == 0 then return finding("secrets", "ok", "nobody else can read them") end
  return finding("secrets", "fail", ("others can read %s in %s"):format(table.concat(open, ", "),
    dir), ("chmod 600 %s/*, and renew them with `orrery secret rotate`"):format(dir))
end

local function agent(stack)
  local client, message, code = require("orrery.client").connect(stack)
  local state = client and client:state()
  if state then
    return finding("agent", "ok", ("runs as pid %d"):format(state.agent.pid)), true
  end
  if code == "denied" then return finding("agent", "warn", message), true end
  return finding("agent", "ok", "does not run")
end

--- A port that somebody has while no agent of ours runs is not free for us.
local function ports(stack, runs)
  local found = {}
  for _, name in ipairs(suggest.names(stack.services)) do
    local service = stack.services[name]
    local port = math.type(service.port) and service.port
    if port and not service.external and not service.embedded and not runs
      and not net.can_bind(service.bind, port) then
      local owner = net.listener(port)
      found[#found + 1] = finding("port of " .. name, "fail", ("port %d on %s is taken by %s")
        :format(port, service.bind, owner and owner.pid and ("%s (pid %d)"):format(owner.name,
          owner.pid) or "another process"),
        ("stop it, or set services.%s.port to a free port"):format(name))
    end
  end
  if #found == 0 then found[1] = finding("ports", "ok", runs and "the agent has them" or "free") end
  return found
end

local function in_path(name)
  for dir in (process.env("PATH") or "/usr/bin:/bin"):gmatch("[^:]+") do
    local stat = file.stat(dir .. "/" .. name)
    if stat and stat.type == "file" and stat.mode & 73 ~= 0 then return dir .. "/" .. name end
  end
end

local function brings_programs(stack, service)
  return service.package ~= nil or plugin.find("package", service.type, stack.dir) ~= nil
end

--- Programs that exec names plainly, of services that bring no package of their own.
local function programs(stack)
  local missing = {}
  for _, name in ipairs(suggest.names(stack.services)) do
    local service = stack.services[name]
    local word = service.exec and service.exec[1]
    local plain = type(word) == "string" and not word:find("[/$%%]")
    if plain and not service.external and not brings_programs(stack, service)
      and not in_path(word) then
      missing[#missing + 1] = finding("program of " .. name, "fail",
        ("%s is not in the PATH"):format(word), "install it, or give its path in exec")
    end
  end
  if #missing == 0 then missing[1] = finding("programs", "ok", "there") end
  return missing
end

local function backend(stack)
  local name = stack.discovery.backend
  local discovery <close>, message = require("orrery.discovery").open(stack)
  if not discovery then return finding("discovery", "fail", message) end
  local asking = core.task.spawn(function() return discovery:services() end)
  local names, why = asking:join(BACKEND_SECONDS)
  asking:cancel()
  if names then
    return finding("discovery", "ok", ("%s answers: %d service%s"):format(name, #names,
      #names == 1 and "" or "s"))
  end
  return finding("discovery", "fail", tostring(why),
    "`up` goes on without it, with what it knew last")
end

--- Everything about the machine: a list of findings.
function M.machine() return { program(), open_files(), service_user() } end

--- Everything about a stack that loads. Waits.
function M.stack(stack)
  local found = {}
  for _, name in ipairs { "state", "run", "logs" } do found[#found + 1] = folder(stack, name) end
  found[#found + 1] = secrets(stack)
  local about, runs = agent(stack)
  found[#found + 1] = about
  for _, list in ipairs { ports(stack, runs), programs(stack) } do
    table.move(list, 1, #list, #found + 1, found)
  end
  found[#found + 1] = backend(stack)
  return found
end

return M
