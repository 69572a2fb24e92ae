--- agents -- the agent of a stack as a script has it: the one that runs already, one in the
-- background of this script, or one that outlives it.
local core = require "orrery.core"
local client_of = require "orrery.client"
local plugin = require "orrery.plugin"

local M = {}

local file, process, task, time = core.file, core.process, core.task, core.time

local LOOK_AGAIN = 0.05 -- seconds; that a process which is not ours has ended has no event
local END_PATIENCE = 30

-- ---- in the background of the script ----

--- Runs the agent as a task. `opened` gets true when its API answers, or {code, message}.
local function run(s, opened)
  local code, message = require("orrery.agent").run(s.config, {
    load = function() return s:again() end,
    progress = function(text) core.log.debug(text) end,
    services = s.asked,
    on_open = function() opened:push(true) end,
  })
  if type(message) == "table" then message = require("orrery.problem").line(message) end
  opened:push({ code = code, message = message or "it ended at once" })
  return code, message
end

local CODES = { [3] = "invalid", [4] = "refused" }

--- Starts it; a client once it answers | nil, message, code.
function M.start(s, services)
  local opened = task.queue()
  s.asked = services
  s.agent = task.spawn(run, s, opened)
  local answer = opened:pop()
  if answer == true then return client_of.connect(s.config) end
  s.agent = nil
  return nil, answer.message, CODES[answer.code] or "failed"
end

-- ---- as a process of its own ----

--- The program: this process, where it is one; else what was installed beside the Lua files.
function M.program()
  local own = process.executable()
  if own and own:match("[^/]*$") == "orrery" then return own end
  local root = plugin.root()
  for _, place in ipairs { "/../../bin/orrery", "/../../libexec/orrery", "/build/orrery" } do
    local path = root .. place
    if file.stat(path) then return file.realpath(path) end
  end
  for folder in (os.getenv("PATH") or ""):gmatch("[^:]+") do
    if file.stat(folder .. "/orrery") then return folder .. "/orrery" end
  end
  return nil, "the program orrery is not there; install it, or have it in PATH", "not_found"
end

local function words(s, program, services)
  local argv = { program, "-f", s.target, "--node", s.config.node }
  for key, value in pairs(s.options.set or {}) do
    table.move({ "--set", ("%s=%s"):format(key, value) }, 1, 2, #argv + 1, argv)
  end
  table.move({ "up", "--agent" }, 1, 2, #argv + 1, argv)
  return table.move(services or {}, 1, #(services or {}), #argv + 1, argv)
end

local function last_line(path)
  local text = file.read(path) or ""
  return text:match("([^\n]+)\n*$") or "it wrote nothing"
end

--- Starts one that goes on when the script ends; a client once it answers | nil, message, code.
function M.detach(s, services, timeout)
  if type(s.target) == "table" then
    error("up: a stack that a script wrote down as a table cannot outlive it; give it a file", 3)
  end
  local program, message, code = M.program()
  if not program then return nil, message, code end
  local log = s.config.dirs.logs .. "/agent.log"
  file.mkdir(s.config.dirs.logs, 493)
  local pid
  pid, message, code = process.detach({ argv = words(s, program, services), log = log })
  if not pid then return nil, message, code end
  local deadline = time.monotonic() + timeout
  repeat
    local client = client_of.connect(s.config)
    if client then return client end
    local stat = process.stat(pid)
    if not stat or stat.state == "Z" then
      return nil, ("the agent ended at once: %s (%s)"):format(last_line(log), log), "failed"
    end
    time.sleep(LOOK_AGAIN)
  until time.monotonic() >= deadline
  return nil, ("the agent (pid %d) does not answer; its log is %s"):format(pid, log), "timeout"
end

-- ---- the end ----

--- Waits until an agent that was told to go down has gone. `state` is its last.
function M.gone(s, client, state, timeout)
  local deadline = time.monotonic() + timeout
  if s.agent then
    local code, message, reason = s.agent:join(timeout)
    if reason == "timeout" then return nil, "not down within the time", "timeout" end
    s.agent = nil
    if code == 0 then return true end
    return nil, tostring(message), "failed"
  end
  client:wait(function() return false end, timeout) -- until its API closes
  deadline = math.max(deadline, time.monotonic() + math.min(timeout, END_PATIENCE))
  repeat
    local stat = process.stat(state.agent.pid)
    if not stat or stat.state == "Z" then return true end
    time.sleep(LOOK_AGAIN)
  until time.monotonic() >= deadline
  return nil, ("the agent (pid %d) has not ended"):format(state.agent.pid), "timeout"
end

return M
