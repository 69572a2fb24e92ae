--- agent -- one node's whole life: lock, leftovers, packages, discovery, supervisor, API, and the
-- way out.
local core = require "orrery.core"
local api = require "orrery.api"
local context = require "orrery.context"
local discovery = require "orrery.discovery"
local events = require "orrery.events"
local notify = require "orrery.notify"
local live_files = require "orrery.live"
local package_of = require "orrery.package"
local plan_of = require "orrery.plan"
local ports = require "orrery.ports"
local process_driver = require "orrery.supervisor.process"
local reload = require "orrery.reload"
local registrar_of = require "orrery.registrar"
local secret = require "orrery.secret"
local strategy_of = require "orrery.strategy"
local supervisor = require "orrery.supervisor"

local file, log, process, task = core.file, core.log, core.process, core.task

local M = {}

local LEFTOVER_GRACE = 3
local FAREWELL = 5    -- seconds for deregistering at the end
local STREAMS_END = 1 -- seconds for readers of events to get the last ones
local QUIET = 1       -- seconds without an event, after which memory is given back
local GROWN = 1.25    -- times what was in use after the last time makes it worth while

local function make_folders(stack)
  for _, name in ipairs({ "state", "run", "logs" }) do
    local ok, err, code = file.mkdir(stack.dirs[name], 493)
    if not ok then
      return nil, ("the %s folder cannot be used: %s; give another with stateDir")
        :format(name, err), code
    end
  end
  return true
end

--- Takes the lock that says who is the agent of this stack; the handle must be kept.
local function take_lock(stack)
  local lock, err, code = file.lock(stack.dirs.state .. "/lock")
  if lock then return lock end
  if code == "exists" then
    err = ("an agent is already running for stack '%s' (%s); see it with `orrery status`, "
      .. "stop it with `orrery down`"):format(stack.name, err)
  end
  if code == "denied" then
    err = err .. "; run this as the user whose stack it is, or give another folder with stateDir"
  end
  return nil, err, code
end

--- Ends processes that an agent left when it and its guard were killed together.
local function end_leftovers(stack, progress)
  local prefix = stack.dirs.state .. "#"
  local found = process.leftovers(prefix)
  if #found == 0 then return 0 end
  progress(("ending what an earlier agent left: %d process%s")
    :format(#found, #found == 1 and "" or "es"))
  return process.end_leftovers(prefix, LEFTOVER_GRACE)
end

local function install_packages(stack, plan, progress)
  for _, name in ipairs(plan.order) do
    local service = stack.services[name]
    if not service.external then
      local folder, err = package_of.ensure(stack, service, progress)
      if folder == nil and err then return nil, ("services.%s: %s"):format(name, err) end
    end
  end
  return true
end

--- The same, until a signal ends it: what was being fetched ends with it.
local function install_or_end(signals, stack, plan, progress)
  local name
  local work = task.spawn(install_packages, stack, plan, progress)
  local watcher = task.spawn(function()
    repeat name = signals:next() until name ~= "HUP" -- there is nothing to reload yet
    if name then work:cancel() end
  end)
  local ok, err = work:join()
  watcher:cancel()
  if not name then return ok, err end
  return nil, ("ended by SIG%s while packages were being installed; no service was started, and "
    .. "the next `orrery up` goes on with the installation"):format(name)
end

local function follow_events(agent, on_event)
  local queue = events.follow(agent.log)
  return task.spawn(function()
    while true do on_event(queue:pop(), agent) end
  end)
end

--- The first signal stops everything in reverse order; the second kills.
local function watch_signals(agent)
  return task.spawn(function()
    local verb = "down"
    while true do
      local name = agent.signals:next()
      if not name then return end
      if name == "HUP" and agent.on_hangup == "reload" then
        task.spawn(reload.run, agent)
        goto next
      end
      agent.on_signal(name, verb)
      supervisor.command(agent.supervisor, verb)
      verb = "kill"
      ::next::
    end
  end)
end

local function watch_guard(agent)
  return task.spawn(function()
    local message = process.guard_lost()
    agent.failure = "the guard died (" .. tostring(message) .. "); its services were stopped"
    log.error(agent.failure)
    supervisor.command(agent.supervisor, "kill")
  end)
end

--- A start needs several times the memory that what runs needs afterwards.
local function keep_tidy(agent)
  local least = 0
  return task.spawn(function()
    while true do
      local queue = events.follow(agent.log)
      queue:pop()
      events.unfollow(agent.log, queue)
      local seen
      repeat
        seen = agent.log.seq
        core.time.sleep(QUIET)
      until agent.log.seq == seen
      if collectgarbage("count") > GROWN * least then
        core.script.tidy()
        least = collectgarbage("count")
      end
    end
  end)
end

--- Tells the keeper of the files whenever what discovery knows of a service has changed.
local function follow_service(agent, name)
  table.insert(agent.tasks, task.spawn(function()
    local watch <close> = agent.discovery:watch(name)
    repeat
      local _, _, code = watch:next()
      live_files.changed(agent.keeper, name)
    until code == "closed"
  end))
end

local function new_agent(stack, plan)
  local agent = { epoch = ("%x-%x"):format(math.floor(core.time.now() * 1000), process.pid()),
    pid = process.pid(), guard = process.guard_pid(), version = core.version,
    started_at = core.time.now(), log = events.new(),
    on_signal = function() end }
  local sup
  local driver = process_driver.new(stack,
    function(i) return context.of(sup.stack, sup, i, agent.discovery, agent.secrets) end,
    function(i) return context.of(sup.stack, sup, i, nil, context.HIDDEN) end)
  sup = supervisor.new({ stack = stack, plan = plan, driver = driver, log = agent.log,
    on_change = function(i)
      if agent.registrar then registrar_of.changed(agent.registrar, i) end
      live_files.changed(agent.keeper, i.service.name)
    end,
    on_files = function(i) live_files.rendered(agent.keeper, i) end })
  agent.keeper = live_files.new(sup, function(name) follow_service(agent, name) end)
  agent.supervisor = sup
  return agent
end

--- What it learns is kept in the state folder, for a start while no backend answers.
local function open_discovery(agent, stack)
  local function tell(message, service, good)
    events.add(agent.log, { type = "discovery", service = service, reason = message,
      failed = not good })
  end
  local function notice(service, stale, message)
    local what = "what is known of " .. service
    if not stale then return tell(what .. " is up to date again", service, true) end
    tell(("%s may be out of date: %s"):format(what, message), service)
  end
  return discovery.open(stack, { secrets = agent.secrets, keep = true, tell = tell,
    notice = notice })
end

--- Opens what the agent needs before anything starts; nil, message, exit code if it cannot.
local function open(agent, stack)
  local err
  agent.secrets, err = secret.open(stack.dirs.state .. "/secrets")
  if not agent.secrets then return nil, err, 1 end
  local ok
  ok, err = ports.assign(agent.supervisor.instances, stack.dirs.state)
  if not ok then return nil, err, 1 end
  agent.discovery, err = open_discovery(agent, stack)
  if not agent.discovery then return nil, err, 4 end
  agent.supervisor.discovery = agent.discovery
  agent.supervisor.strategy, err = strategy_of.open(stack, agent.supervisor, agent.discovery)
  if err then return nil, err, 3 end
  agent.server, err = api.open(stack.dirs.run .. "/api.sock")
  if not agent.server then
    return nil, ("the agent's API cannot be opened: %s"):format(err), 1
  end
  agent.registrar = registrar_of.new({ discovery = agent.discovery, node = stack.node,
    ttl = stack.discovery.registrationTtl, log = agent.log,
    checks_on = agent.supervisor.checks_on })
  return true
end

--- Ends what open() and run() began, in reverse.
local function close(agent)
  for _, running in ipairs(agent.tasks or {}) do running:cancel() end
  if agent.signals then agent.signals:close() end -- one more ends us in the middle of the rest
  if agent.registrar_task then
    registrar_of.close(agent.registrar)
    if agent.registrar_task:join(FAREWELL) == nil then agent.registrar_task:cancel() end
  end
  events.close(agent.log)
  api.finish(agent, STREAMS_END)
  if agent.server then agent.server:close() end
  if agent.api_task then agent.api_task:join(1) end
  if agent.discovery then agent.discovery:close() end
end

local function exit_code(agent)
  if agent.failure then return 1, agent.failure end
  return 0
end

local function live(agent, options)
  agent.load = options.load
    or function() return require("orrery.stack").load(agent.supervisor.stack.file) end
  agent.on_hangup = file.isatty(0) and file.isatty(2) and "down" or "reload"
  agent.registrar_task = task.spawn(registrar_of.run, agent.registrar)
  agent.api_task = task.spawn(api.run, agent, agent.server)
  agent.on_signal = options.on_signal or agent.on_signal
  agent.tasks = { watch_signals(agent), watch_guard(agent), keep_tidy(agent),
    task.spawn(live_files.run, agent.keeper) }
  if agent.supervisor.strategy then
    table.insert(agent.tasks, task.spawn(strategy_of.watch, agent.supervisor.strategy,
      function(reason, failed)
        events.add(agent.log, { type = "strategy", reason = reason, failed = failed })
      end))
  end
  if options.on_event then table.insert(agent.tasks, follow_events(agent, options.on_event)) end
  if options.on_open then options.on_open(agent) end
  core.script.tidy() -- what starts now fills the holes that the loading of the stack has left
  local running = task.spawn(supervisor.run, agent.supervisor)
  supervisor.command(agent.supervisor, "up", options.services)
  table.insert(agent.tasks, notify.follow(agent))
  local ok, err = running:join()
  if not ok then
    agent.failure = ("the supervisor failed, and all services were stopped: %s; this is a fault of "
      .. "orrery: the log above has the details"):format(err)
  end
end

local function run_locked(stack, plan, options, progress)
  end_leftovers(stack, progress)
  local signals <close> = process.signals({ "INT", "TERM", "HUP" })
  local ok, err = install_or_end(signals, stack, plan, progress)
  if not ok then return 1, err end
  local code
  local agent = new_agent(stack, plan)
  agent.signals = signals
  ok, err, code = open(agent, stack)
  if ok then live(agent, options) end
  close(agent)
  if not ok then return code, err end
  return exit_code(agent)
end

--- Ends what an agent left that was killed together with its guard, or whose guard is still at it.
-- Waits. How many processes there were | nil, message, "exists" if there is an agent.
function M.sweep(stack, progress)
  local lock <close>, message, code = file.lock(stack.dirs.state .. "/lock")
  if lock then return end_leftovers(stack, progress) end
  if code == "exists" then return nil, message, code end
  return 0 -- there is no such folder, or it is not ours to look into
end

--- Runs the agent of `stack` until it is told to stop. Waits. Options: services (names; default
-- all), on_event(event, agent), on_open(agent) once its API answers, on_signal(name, verb),
-- progress(text), load() -> the stack as its file is now | nil, problems (for a reload; SIGHUP asks
-- for one unless a terminal hung up). Returns the exit code, and a message if it is not 0.
function M.run(stack, options)
  local progress = options.progress or log.info
  core.time.sleep(0) -- to load a stack of thousands and to build its agent is no runaway
  stack.origin = nil -- which holds on to every layer; nobody asks an agent where a value is from
  local plan, problems = plan_of.build(stack)
  if not plan then return 3, problems end
  local ok, err = make_folders(stack)
  if not ok then return 1, err end
  local lock
  lock, err = take_lock(stack)
  if not lock then return 1, err end
  local patience = notify.patience()
  local exit, message = run_locked(stack, plan, options, progress)
  if patience then patience:cancel() end
  lock:close()
  return exit, message
end

return M
