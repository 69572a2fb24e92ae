--- hooks -- the commands and functions around the life of an instance, each with a deadline.
--
-- Those of one instance run one after another, those of others do not wait for them. beforeStart,
-- beforeStop and the afterStop of a stop are waited for by whoever starts or stops the instance;
-- the others are queued, and a stop ends what is queued. What came of each is told as a fact: it
-- becomes an event.
local core = require "orrery.core"

local process, task, time = core.process, core.task, core.time

local M = {}

local TIMEOUT = 60      -- seconds, unless hooks.timeout or the hook's own says otherwise
local SHOWN = 1000      -- bytes of what a failed command said
local MAX_JOBS = 100    -- queued; a service that flaps must not fill the memory

--- The hooks of one instance; it lives as long as the instance.
function M.new() return { jobs = {} } end

--- {command | run, timeout} of a hook, or nil if the service has none of this name.
function M.spec(hooks, name)
  local hook = hooks and hooks[name]
  if not hook then return nil end
  if type(hook) == "function" then hook = { run = hook } end
  if hook[1] then hook = { command = hook } end
  return { command = hook.command, run = hook.run, timeout = hook.timeout or hooks.timeout or
    TIMEOUT }
end

local function late(timeout)
  return ("still running after %g s, and was ended"):format(timeout)
end

local function as_service(run, argv, timeout)
  return process.run({ argv = argv, env = run.env, cwd = run.rendered.cwd, user = run.user,
    group = run.group, timeout = timeout })
end

local function run_command(run, spec)
  local argv = { table.unpack(spec.command) }
  if argv[1]:find("^%.%.?/") then argv[1] = run.dir .. "/" .. argv[1] end
  local result, err = as_service(run, argv, spec.timeout)
  if not result then return nil, err end
  if result.timedOut then return nil, ("%s: %s"):format(argv[1], late(spec.timeout)) end
  if result.code == 0 then return true end
  local said = result.stderr ~= "" and result.stderr or result.stdout
  return nil, ("%s: exited with %s: %s"):format(argv[1], result.code or result.signal,
    said:sub(-SHOWN))
end

--- What a function may do: run programs as the service, ask by http, wait, and write to the log.
local function context_of(run, name, timeout)
  local ctx = { name = name, http = core.http, sleep = time.sleep }
  function ctx.run(argv, seconds) return as_service(run, argv, seconds or timeout) end
  function ctx.log(text)
    core.log.info(tostring(text), { instance = run.id, hook = name })
  end
  return ctx
end

local function run_function(run, spec, name)
  local ok, value, message = pcall(spec.run, context_of(run, name, spec.timeout), run.shown())
  if not ok then return nil, tostring(value) end
  if not value and message then return nil, tostring(message) end
  return true
end

local function cancel_on_exit(running)
  return setmetatable({}, { __close = function() running:cancel() end })
end

--- Runs a hook now, if there is one. True, or nil and why it failed. Waits, at most as long as the
-- hook may take.
function M.perform(hooks, run, name)
  local spec = M.spec(run.rendered.hooks, name)
  if not spec then return true end
  local running = task.spawn(spec.run and run_function or run_command, run, spec, name)
  local _ <close> = cancel_on_exit(running)
  hooks.current = running
  local ok, message, code = running:join(spec.timeout + 1)
  hooks.current = nil
  if ok then return true end
  if code == "timeout" then message = late(spec.timeout) end
  return nil, ("hooks.%s: %s"):format(name, tostring(message))
end

--- The same, and tells what came of it.
function M.perform_and_tell(hooks, run, name, tell)
  if not M.spec(run.rendered.hooks, name) then return true end
  local ok, message = M.perform(hooks, run, name)
  tell({ kind = "hook", name = name, ok = ok or false, message = message })
  return ok, message
end

local function work(hooks)
  while hooks.jobs[1] do
    local job = table.remove(hooks.jobs, 1)
    local ok, message = M.perform(hooks, job.run, job.name)
    if not hooks.jobs[1] then hooks.worker = nil end
    job.tell({ kind = "hook", name = job.name, ok = ok or false, message = message })
  end
end

--- Runs a hook after those that were queued before.
function M.add(hooks, run, name, tell)
  if not M.spec(run.rendered.hooks, name) then return end
  if #hooks.jobs >= MAX_JOBS then
    return tell({ kind = "hook", name = name, ok = false,
      message = ("hooks.%s: not run: %d hooks wait already"):format(name, MAX_JOBS) })
  end
  table.insert(hooks.jobs, { run = run, name = name, tell = tell })
  if not hooks.worker then hooks.worker = task.spawn(work, hooks) end
end

--- Waits until nothing is queued.
function M.drain(hooks)
  while hooks.worker do hooks.worker:join() end
end

--- Forgets what is queued, and ends what runs from the queue.
function M.clear(hooks)
  hooks.jobs = {}
  if hooks.worker then hooks.worker:cancel() end
  hooks.worker = nil
end

--- Ends whatever runs, now.
function M.kill(hooks)
  M.clear(hooks)
  if hooks.current then hooks.current:cancel() end
end

function M.busy(hooks) return hooks.worker ~= nil end

return M
