--- luacheck -- health checks written in Lua: checks/<name>.lua, or run = function in a Lua stack.
--
-- Each runs in a task of its own, so that it may wait; it reaches the world through `ctx` only. One
-- that computes without waiting is stopped, and gets a tenth of the time from then on. The
-- schedule, the deadline and the rules of rise and fall are those of every check.
local core = require "orrery.core"
local environment = require "orrery.supervisor.environment"
local sandbox = require "orrery.sandbox"

local M = {}

local time = core.time

local DEFAULTS = { interval = 10, timeout = 30, rise = 1, fall = 3, startPeriod = 0 }
local FIRST_RETRY = 0.1
local MAX_MESSAGE = 1000

--- Whether a rendered check is one of these.
function M.is(spec) return type(spec.run) == "function" end

local function field(spec, key) return spec[key] or DEFAULTS[key] end

-- ---- what a check may use ----

--- Programs run as the service's user and end with the try.
local function runner(i, timeout)
  return function(options)
    if options[1] then options = { argv = options } end
    return core.process.run({ argv = options.argv, env = options.env, input = options.input,
      cwd = options.cwd or "/", user = environment.user_of(i.service),
      timeout = math.min(options.timeout or timeout, timeout) })
  end
end

--- What a Lua check and a Lua backend reach the world through; `run` starts their programs.
function M.context(run)
  local http, json = core.http, core.json
  return {
    http = { request = http.request, get = http.get, post = http.post },
    net = { connect = core.net.connect },
    dns = { resolve = core.dns.resolve, query = core.dns.query },
    process = { run = run },
    time = { sleep = time.sleep, now = time.now, monotonic = time.monotonic },
    json = { encode = json.encode, decode = json.decode, null = json.null },
  }
end

local function instance_of(i)
  return { id = i.id, service = i.service.name, address = i.address, port = i.port,
    ports = i.ports, url = i.url, pid = i.pid, dirs = i.dirs or i.service.dirs }
end

-- ---- one try ----

local function fault(spec, err)
  if not spec.source then return tostring(err) end
  local problem = sandbox.problem(spec.source, err)
  return ("%s:%s %s"):format(problem.file, problem.line and problem.line .. ":" or "",
    problem.message)
end

local function answer_of(spec, ok, value, message)
  if not ok then return false, fault(spec, value) end
  if value == true then return true, message and tostring(message) or "passed" end
  return false, message and tostring(message) or "it returned neither true nor a message"
end

--- Whoever waits for it may be cancelled: the try then ends, too.
local function join(running, timeout)
  local _ <close> = setmetatable({}, { __close = function() running:cancel() end })
  return running:join(timeout)
end

--- Runs the check once: {ok, message, latency, at}. Waits, at most for its timeout.
function M.run(spec, i)
  local timeout, began = field(spec, "timeout"), time.monotonic()
  local done, ok, message = false, false, nil
  local running = core.task.spawn(function()
    local results = table.pack(pcall(spec.run, M.context(runner(i, timeout)), instance_of(i),
      spec.options or {}))
    ok, message = answer_of(spec, table.unpack(results, 1, 3))
    done = true
  end)
  local _, err, code = join(running, timeout)
  local stopped = not done and code == "failed" -- it computed for too long
  if stopped then
    message = fault(spec, err)
  elseif not done then
    ok, message = false, ("the check was still running after %g s, and was ended"):format(timeout)
  end
  return { stopped = stopped, ok = ok, message = message:sub(1, MAX_MESSAGE),
    latency = time.monotonic() - began, at = time.now() }
end

-- ---- on its schedule ----

local function pause(spec, passed, tries, latency)
  local interval = field(spec, "interval")
  if passed then return math.max(interval - latency, 0) end
  return math.min(interval, core.check.backoff({ kind = spec.backoff, first = FIRST_RETRY,
    max = interval }, tries, math.random()))
end

local function loop(handle, spec, i, changes)
  local health = core.check.health({ rise = field(spec, "rise"), fall = field(spec, "fall") })
  local began, passed, tries = time.monotonic(), false, 0
  while true do
    local verdict = M.run(spec, i)
    handle.verdict = verdict
    passed = passed or verdict.ok
    local excused = time.monotonic() - began < field(spec, "startPeriod")
    local state, changed = health:feed(verdict.ok, excused)
    if changed then
      changes:push({ state = state, message = verdict.message, latency = verdict.latency })
    end
    local seconds = pause(spec, passed, tries, verdict.latency)
    time.sleep(verdict.stopped and math.max(seconds, 10 * verdict.latency) or seconds)
    tries = tries + 1
  end
end

--- Starts the check; what it gives is used as a handle of orrery.check is: next, last, close.
function M.start(spec, i)
  local changes = core.task.queue()
  local handle = {}
  local running = core.task.spawn(function() loop(handle, spec, i, changes) end)
  function handle.next(_, timeout) return changes:pop(timeout) end
  function handle.last() return handle.verdict end
  function handle.close() running:cancel() end
  return handle
end

return M
