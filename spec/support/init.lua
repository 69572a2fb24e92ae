--- support -- what every spec needs. `require "support"` at the top of a spec file also makes each
--- of its tests fail when it leaves a task, a handle, a process or an open file behind.
local busted = require "busted"
local core = require "orrery.core"
local lfs = require "lfs"
local luassert = require "luassert"
local ports = require "support.ports"
local procfs = require "support.procfs"

local M = {}

M.procfs = procfs
M.root = lfs.currentdir()

local POLL = 0.01     -- seconds between two looks of wait_until
local PATIENCE = 60   -- seconds that what must come gets at least: the machine may be busy
local SETTLE = 10     -- seconds a closing handle or an ended process gets to vanish
local temporary = {}  -- folders of the running test

-- ---- files ----

local function temp_root() return os.getenv("TMPDIR") or "/tmp" end

--- Makes a fresh folder that is removed after the test.
function M.tmp()
  local path = os.tmpname()
  os.remove(path)
  path = temp_root() .. "/" .. path:match("[^/]+$"):gsub("^lua_", "orrery-spec-")
  assert(lfs.mkdir(path))
  temporary[#temporary + 1] = path
  return path
end

--- Removes a file or a folder with everything in it; follows no link.
function M.remove_tree(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for entry in lfs.dir(path) do
      if entry ~= "." and entry ~= ".." then M.remove_tree(path .. "/" .. entry) end
    end
    return lfs.rmdir(path)
  end
  return os.remove(path)
end

function M.exists(path) return lfs.symlinkattributes(path, "mode") ~= nil end

function M.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

function M.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
  return path
end

--- What a call gave must be nil, a message that matches `pattern`, and this code.
---   support.fails("not_found", "no such file", file.read "missing")
function M.fails(code, pattern, value, message, got)
  luassert.is_nil(value)
  luassert.matches(pattern, message)
  luassert.equal(code, got)
end

--- A record of discovery: pds@edge at 127.0.0.1:3000, but for `fields`.
function M.record(fields)
  local made = { service = "pds", node = "edge", address = "127.0.0.1", port = 3000 }
  for key, value in pairs(fields or {}) do made[key] = value end
  return made
end

--- The ids of what a lookup answered, in its order.
function M.ids(records)
  local list = {}
  for i, found in ipairs(assert(records)) do list[i] = found.id end
  return list
end

--- Seconds since 1970 of a moment as the command line prints it; fails the test if it is none.
function M.moment(text)
  local year, month, day, hour, min, sec =
    tostring(text):match("^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d%.%d%d%d)Z$")
  luassert.is_string(sec, tostring(text) .. " is no moment")
  local noon = os.time { year = year, month = month, day = day, hour = 12 }
  local utc = os.date("!*t", noon)
  return noon + ((hour - utc.hour) * 60 + min - utc.min) * 60 + sec
end

-- ---- waiting ----

--- Polls until predicate() is true and returns its value; fails the test after `seconds`, which
--- are a minute at least: a test of how long something may take measures it. Only for what has no
--- event of its own to wait for.
function M.wait_until(predicate, seconds, what)
  seconds = math.max(seconds or 0, PATIENCE)
  local deadline = core.time.monotonic() + seconds
  repeat
    local value = predicate()
    if value then return value end
    core.time.sleep(POLL)
  until core.time.monotonic() >= deadline
  error(("waited %g s in vain for %s"):format(seconds, what or "a condition"), 2)
end

--- True when the process ends, for which wait_until() waits.
function M.wait_gone(pid, seconds)
  return M.wait_until(function() return not procfs.alive(pid) end, seconds,
    "process " .. pid .. " to end")
end

--- A port of loopback that nobody has, for a server that is started with it. It is none of those
--- that the kernel gives to who asks for any, so that no client and no other server takes it before
--- ours does, or while ours is down for a moment; the test processes of one run reserve theirs.
--- `count`: the first of so many in a row (1).
function M.free_port(count) return ports.take(count or 1) end

-- ---- the program ----

--- The built program: $ORRERY_BIN, else the one beside the engine module in use.
function M.binary()
  local given = os.getenv("ORRERY_BIN")
  if given and given ~= "" then return given end
  local module = assert(package.searchpath("orrery.core", package.cpath))
  return module:gsub("lib/orrery/core%.so$", "orrery")
end

--- Where `orrery up` of this user keeps installed packages.
function M.packages()
  if core.process.user().uid == 0 then return "/var/lib/orrery/packages" end
  local state = os.getenv("XDG_STATE_HOME") or os.getenv("HOME") .. "/.local/state"
  return state .. "/orrery/packages"
end

-- To install npm packages takes minutes: all tests share those of the user.
local function share_packages(state)
  if core.process.user().uid == 0 then return end
  assert(core.file.mkdir(M.packages(), "0755"))
  assert(core.file.mkdir(state .. "/orrery", "0755"))
  if not M.exists(state .. "/orrery/packages") then
    assert(lfs.link(M.packages(), state .. "/orrery/packages", true))
  end
end

-- What the specs need themselves, and what would change what a program says: a program under test
-- shall not see it.
local OURS = { LD_PRELOAD = true, LUA_PATH = true, LUA_CPATH = true, NO_COLOR = true,
  XDG_STATE_HOME = true }

local function is_ours(name)
  return OURS[name] or name:find "^ORRERY_" or name:find "^ATPROTO_SERVICE_"
end

--- The environment of a program under test: the user's, but its state in a folder of this test.
--- `extra` is added to it.
function M.env(extra)
  local env = {}
  for name, value in pairs(core.process.environ()) do
    if not is_ours(name) then env[name] = value end
  end
  for name, value in pairs(extra or {}) do env[name] = value end
  if not env.XDG_STATE_HOME then
    env.XDG_STATE_HOME = M.tmp()
    share_packages(env.XDG_STATE_HOME)
  end
  return env
end

--- Makes a library of spec/support to preload, such as "shift_clock"; its path.
function M.preloadable(name, dir)
  local path = ("%s/%s.so"):format(dir, name)
  local result = assert(core.process.run { timeout = 60, argv = { os.getenv "CC" or "cc",
    "-shared", "-fPIC", "-o", path, ("%s/spec/support/%s.c"):format(M.root, name) },
    env = M.env() })
  assert(result.code == 0, result.stderr)
  return path
end

--- Runs a command to its end: code (nil when a signal ended it), stdout, stderr, the whole result.
--- options: cwd (ours; with a user "/", who may not enter ours), env, input, timeout (60 s; running
--- out fails the test), user.
function M.run(argv, options)
  options = options or {}
  local timeout = options.timeout or 60
  local result = assert(core.process.run {
    argv = argv, cwd = options.cwd or options.user and "/", env = M.env(options.env),
    input = options.input, user = options.user, timeout = timeout, maxOutput = 4 * 1024 * 1024,
  })
  if result.timedOut then
    error(("%s did not end within %g s; it wrote:\n%s%s"):format(
      table.concat(argv, " "), timeout, result.stdout, result.stderr), 2)
  end
  return result.code, result.stdout, result.stderr, result
end

--- A copy of the program under test, installed where another user can run it.
function M.program_for_others()
  local dir = M.tmp()
  assert(core.file.mkdir(dir .. "/share/orrery", "0755"))
  for _, name in ipairs({ "lua", "profiles", "templates" }) do
    assert(core.file.copy_tree(M.root .. "/" .. name, dir .. "/share/orrery/" .. name))
  end
  assert(core.file.mkdir(dir .. "/bin", "0755"))
  assert(core.file.copy_tree(M.binary(), dir .. "/bin/orrery"))
  assert(core.process.run({ argv = { "chmod", "-R", "a+rX", dir } }).code == 0)
  return dir .. "/bin/orrery"
end

--- Runs `orrery` with the arguments in `arguments`; its named fields are the options of run().
---   local code, out, err = support.orrery { "-f", dir, "validate", timeout = 5 }
function M.orrery(arguments)
  local program = arguments.user and M.program_for_others() or M.binary()
  local argv = table.pack(program, table.unpack(arguments))
  argv.n = nil
  return M.run(argv, arguments)
end

--- The environment for a lua5.4 of another user that loads the engine under test: from a copy, for
--- that user may not be able to read ours.
function M.engine_for_others()
  local dir = M.tmp()
  assert(core.file.copy_tree(M.root .. "/lua", dir .. "/lua"))
  assert(core.file.mkdir(dir .. "/orrery", "0755"))
  local module = assert(package.searchpath("orrery.core", package.cpath))
  assert(core.file.copy_tree(module, dir .. "/orrery/core.so"))
  assert(core.process.run { argv = { "chmod", "-R", "a+rX", dir } }.code == 0)
  return {
    LUA_PATH = dir .. "/lua/?.lua;" .. dir .. "/lua/?/init.lua", LUA_CPATH = dir .. "/?.so",
    LD_PRELOAD = os.getenv "LD_PRELOAD", ASAN_OPTIONS = os.getenv "ASAN_OPTIONS",
  }
end

-- ---- what a test leaves behind ----

local before

local function snapshot()
  collectgarbage()
  collectgarbage()
  local live = core.live()
  return {
    tasks = live.tasks, handles = live.handles,
    processes = procfs.descendants(), files = procfs.open_files(),
  }
end

local function more(now, key, leaks)
  if now[key] > before[key] then
    leaks[#leaks + 1] = ("%d more %s than before"):format(now[key] - before[key], key)
  end
end

local function leaks_of(now)
  local leaks = {}
  more(now, "tasks", leaks)
  more(now, "handles", leaks)
  for pid, process in pairs(now.processes) do
    if not before.processes[pid] then
      leaks[#leaks + 1] = ("process %d (%s, state %s)"):format(pid, process.name, process.state)
    end
  end
  for descriptor, path in pairs(now.files) do
    if before.files[descriptor] ~= path then
      leaks[#leaks + 1] = ("descriptor %d open on %s"):format(descriptor, path)
    end
  end
  return leaks
end

-- Handles close and processes are reaped in the loop, so they get a moment.
local function remaining_leaks()
  local deadline = core.time.monotonic() + SETTLE
  while true do
    local leaks = leaks_of(snapshot())
    if #leaks == 0 or core.time.monotonic() >= deadline then return leaks end
    core.time.sleep(POLL)
  end
end

busted.before_each(function() before = snapshot() end)

busted.after_each(function()
  local leaks = remaining_leaks()
  for _, path in ipairs(temporary) do M.remove_tree(path) end
  temporary = {}
  if #leaks > 0 then error("the test left behind: " .. table.concat(leaks, "; "), 0) end
end)

return M
