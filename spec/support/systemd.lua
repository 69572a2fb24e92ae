--- systemd -- a real systemd manager for a test, apart from that of the machine. See systemd.sh.
local support = require "support"
local core = require "orrery.core"
local lfs = require "lfs"

local START_SECONDS = 25

local M = {}

local SCRIPT = "spec/support/systemd.sh"

local function quiet(command)
  return (os.execute("env -u LD_PRELOAD " .. command .. " 2>/dev/null"))
end

--- Why no manager can be had here; nil if one can.
function M.missing()
  if core.process.user().uid ~= 0 then return "only root can start a systemd of its own" end
  for _, path in ipairs { "/lib/systemd/systemd", "/usr/bin/dbus-daemon", "/usr/bin/busctl" } do
    if not support.exists(path) then return path .. " is not installed" end
  end
  if not quiet "findmnt -rn -t cgroup2 >/dev/null" then return "no cgroup2 is mounted here" end
  if not quiet "unshare --mount --pid --fork --cgroup mount -t tmpfs none /mnt" then
    return "root may make no namespaces here"
  end
  return nil
end

local Manager = {}
Manager.__index = Manager

--- Runs a command in it and returns its exit code and output; its words are split by the shell.
function Manager:exec(command)
  local pipe = assert(io.popen(("env -u LD_PRELOAD %s exec %s %s 2>&1"):format(SCRIPT, self.dir,
    command)))
  local text = pipe:read("a")
  local _, _, code = pipe:close()
  return code, text
end

--- Writes a unit file (name = text of its [Service]); systemd reads it when it first needs it.
function Manager:unit(name, text)
  local path = ("/proc/%d/root/run/systemd/system/%s"):format(self.pid, name)
  support.write(path, "[Unit]\nDescription=for a test\n[Service]\n" .. text .. "\n")
  self.units[#self.units + 1] = name
end

--- Ends what runs of the units written so far.
function Manager:clear()
  local names = table.concat(self.units, " ")
  self.units = {}
  if names == "" then return end
  self:ctl("stop --no-block " .. names, true)
  self:ctl("kill --signal=KILL " .. names, true)
  self:ctl("stop " .. names, true)
end

--- Runs `systemctl ARGUMENTS`; fails the test if it fails and `may_fail` is not true.
function Manager:ctl(arguments, may_fail)
  local code, text = self:exec("systemctl " .. arguments)
  if code ~= 0 and not may_fail then error(("systemctl %s: %s"):format(arguments, text), 2) end
end

--- Waits until a unit is in a state, such as "activating".
function Manager:wait_state(unit, state)
  support.wait_until(function()
    local _, text = self:exec("systemctl show -P ActiveState " .. unit)
    return text:match("%S+") == state
  end, 20, ("%s to be %s"):format(unit, state))
end

--- Where its bus is.
function Manager:address()
  return ("unix:path=/proc/%d/root/run/dbus/system_bus_socket"):format(self.pid)
end

--- Sends a signal to the manager itself; KILL ends everything in it.
function Manager:signal(name) os.execute(("kill -%s %d"):format(name, self.pid)) end

--- Ends it with all that runs in it.
function Manager:stop()
  if not self.pipe then return end
  self.pipe:write("end\n") -- others may have inherited the pipe
  self.pipe:close()
  self.pipe = nil
  support.remove_tree(self.dir)
end

--- Starts one; takes half a second. It ends with this process, if nobody stops it before. nil and
--- why, on a machine whose namespaces do not let it start, such as inside a chroot.
function M.start()
  local dir = os.tmpname()
  os.remove(dir)
  dir = (os.getenv "TMPDIR" or "/tmp") .. "/" .. dir:match("[^/]+$")
  assert(lfs.mkdir(dir))
  local self = setmetatable({ dir = dir, units = {} }, Manager)
  self.pipe = assert(io.popen(("env -u LD_PRELOAD %s run %s"):format(SCRIPT, dir), "w"))
  local function answers() return support.exists(dir .. "/pid") end
  if not pcall(support.wait_until, answers, START_SECONDS) then
    self:stop()
    return nil, "no systemd manager starts in namespaces of this machine"
  end
  self.pid = math.tointeger(tonumber((support.read(dir .. "/pid"):match("%d+"))))
  return self
end

return M
