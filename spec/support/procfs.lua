--- procfs -- what the kernel knows about this test process: descendants and open files.
local lfs = require "lfs"

local M = {}

local function slurp(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

--- The process's fields: {pid, ppid, state, name}; nil when there is none.
function M.stat(pid)
  local text = slurp("/proc/" .. pid .. "/stat")
  if not text then return nil end
  local name, state, ppid = text:match("^%d+ %((.*)%) (%S) (%d+)")
  if not name then return nil end
  return { pid = tonumber(pid), ppid = tonumber(ppid), state = state, name = name }
end

function M.self() return tonumber(slurp("/proc/self/stat"):match("^%d+")) end

--- True while the process exists and is no zombie.
function M.alive(pid)
  local stat = M.stat(pid)
  return stat ~= nil and stat.state ~= "Z" and stat.state ~= "X"
end

local function all()
  local processes = {}
  for entry in lfs.dir("/proc") do
    local stat = entry:match("^%d+$") and M.stat(entry)
    if stat then processes[stat.pid] = stat end
  end
  return processes
end

local function descends(process, processes, ancestor)
  while process do
    if process.ppid == ancestor then return true end
    process = processes[process.ppid]
  end
  return false
end

-- The guard is a fork of this process without an exec: it has our command line, or names itself.
local function is_guard(process, own_pid)
  if process.ppid ~= own_pid or process.state == "Z" then return false end
  return process.name:find("guard", 1, true) ~= nil
    or slurp("/proc/" .. process.pid .. "/cmdline") == slurp("/proc/self/cmdline")
end

--- Every process below `ancestor` (default: this one) but our own guard, zombies too: {pid = stat}.
function M.descendants(ancestor)
  local own = M.self()
  ancestor = ancestor or own
  local processes, found = all(), {}
  for pid, process in pairs(processes) do
    if descends(process, processes, ancestor) and not is_guard(process, own) then
      found[pid] = process
    end
  end
  return found
end

--- The files and folders on disk that this process holds open: {descriptor = path}.
function M.open_files()
  local open = {}
  for entry in lfs.dir("/proc/self/fd") do
    local target = lfs.symlinkattributes("/proc/self/fd/" .. entry, "target")
    if target and target:find("^/") and not target:find("^/dev/")
      and not target:find("^/proc/") then
      open[tonumber(entry)] = target
    end
  end
  return open
end

return M
