--- process -- the driver that runs instances as processes of the guard.
--
-- start() and stop() return at once; what came of it is told as a fact: `started`, `start_error` or
-- `exited`. An external or embedded service has no process: it starts and ends at once.
local core = require "orrery.core"
local environment = require "orrery.supervisor.environment"
local hooks = require "orrery.supervisor.hooks"
local outcome = require "orrery.outcome"
local outputs = require "orrery.supervisor.outputs"
local problem_of = require "orrery.problem"
local ready = require "orrery.supervisor.ready"
local refresh = require "orrery.supervisor.refresh"
local render = require "orrery.render"
local restart = require "orrery.supervisor.restart"

local file, process, task = core.file, core.process, core.task

local M = {}

local LAST_LINE = 1000 -- bytes of it that are shown

local function start_error(message, fields)
  local problem = { kind = "start_error", message = message }
  for key, value in pairs(fields or {}) do problem[key] = value end
  return problem
end

--- The words of an exit, with the last line the process wrote (less the log's own time and stream).
local function describe(status, last)
  local text = status.signal and ("killed by signal " .. status.signal)
    or ("exited with code %d"):format(status.code)
  last = last and last:gsub("^%S+ %S+ ", ""):sub(1, LAST_LINE)
  return last and last ~= "" and ("%s; its last line: %s"):format(text, last) or text
end

local function make_folders(driver, i)
  local service = i.service
  local owner = environment.user_of(service)
  for _, folder in ipairs({ i.dirs.data, i.dirs.config }) do
    local ok, err = file.mkdir(folder, 448 + 40, { owner = owner })
    if not ok then return nil, err end
  end
  return file.mkdir(driver.stack.dirs.logs, 488)
end

--- What cannot be rendered yet may be later; what is wrong stays wrong.
local function render_error(problems)
  local pending = render.is_pending(problems)
  return start_error(problem_of.line(problems), { fatal = not pending, pending = pending })
end

--- Whether the port is free; else why not, naming who has it.
local function port_problem(i)
  if not i.port then return nil end
  local bind = i.service.bind
  if core.net.can_bind(bind, i.port) then return nil end
  local owner = core.net.listener(i.port)
  local who = owner and owner.pid and ("%s (pid %d)"):format(owner.name or "a process", owner.pid)
    or "another process"
  return ("port %d on %s is already taken by %s, which is not ours; stop it, or set "
    .. "services.%s.port to a free port"):format(i.port, bind, who, i.service.name)
end

--- Everything before its hooks and the process itself: folders, files, port. Returns the rendered
-- service and its environment; or nil and the fact that tells why not.
local function prepare(driver, i)
  local service = i.service
  local ok, err = environment.check_user(service)
  if ok then ok, err = make_folders(driver, i) end
  if not ok then return nil, start_error(err, { fatal = true }) end
  local context = driver.context(i)
  local rendered, problems = render.service(driver.stack, service.name, context)
  if rendered then rendered.cwd = rendered.cwd or i.dirs.data end
  if not rendered then return nil, render_error(problems) end
  if not rendered.exec then return rendered end
  local files
  files, problems = render.files(driver.stack, service.name, context)
  if not files then return nil, render_error(problems) end
  local written
  written, problems = refresh.first(driver, i, files)
  if not written then return nil, render_error(problems) end
  local env, pending
  env, err, pending = environment.build(driver.stack, service, rendered, context)
  if not env then return nil, start_error(err, { fatal = not pending, pending = pending }) end
  local taken = port_problem(i)
  if taken then return nil, start_error(taken, { fatal = true, foreign = taken }) end
  return rendered, nil, env, written
end

--- What became of the process when the guard has died: it has ended it.
local LOST = { signal = "KILL" }

--- What a oneshot that succeeded has published; a failure if that cannot be taken.
local function collect(driver, i, run, fact)
  if not (run.output and fact.ok) then return end
  local values, err = outputs.collect(driver.stack, i.service.name, run.output, i.copy)
  file.remove(run.output)
  if values then fact.outputs = values
  else fact.ok, fact.message = false, "it succeeded, but " .. err end
end

--- Hooks that nobody waits for: of an end that nobody asked for.
local function queue_last_hooks(run, tell)
  hooks.clear(run.hooks) -- what a life that is over still asked for
  if run.halted then return end
  if run.healthy then hooks.add(run.hooks, run, "onUnhealthy", tell) end
  run.healthy = false
  hooks.add(run.hooks, run, "afterStop", tell)
end

local function watch_exit(driver, i, run, tell)
  local status = run.process:wait() or LOST
  run.ended = true
  if run.socket then run.socket:close() end
  local fact = { kind = "exited", ok = restart.success(i.restart, status), code = status.code,
    signal = status.signal, message = run.ender and (run.killed or "stopped")
      or describe(status, run.process:tail(1)[1]) }
  collect(driver, i, run, fact)
  if run.at_before_stop then run.ender:join() end
  if not run.ender then queue_last_hooks(run, tell)
  elseif not run.kill then hooks.perform_and_tell(run.hooks, run, "afterStop", tell) end
  tell(fact)
end

local function mark_of(driver, i) return driver.stack.dirs.state .. "#" .. i.id end

local function spawn(driver, i, rendered, env)
  local service = i.service
  local argv = {}
  for n, word in ipairs(rendered.exec) do argv[n] = word end
  if argv[1]:sub(1, 2) == "./" or argv[1]:sub(1, 3) == "../" then
    argv[1] = driver.stack.dir .. "/" .. argv[1]
  end
  return process.spawn({ argv = argv, env = env, cwd = rendered.cwd,
    user = environment.user_of(service), group = service.group, umask = service.umask,
    limits = service.limits, deathSignal = service.stop.signal,
    instance = mark_of(driver, i), expect = ready.text_of(service),
    log = { path = driver.stack.dirs.logs .. "/" .. i.id .. ".log",
      maxBytes = service.logs and service.logs.maxBytes,
      keep = service.logs and service.logs.keep } })
end

--- The fact that it runs. Its url is for people and events: in it secrets read ***.
local function started(driver, i, rendered, pid)
  local shown = rendered
  if rendered.hides then
    shown = render.service(driver.stack, i.service.name, driver.shown(i))
  end
  return { kind = "started", pid = pid, checks = rendered.healthChecks, did = rendered.did,
    tags = rendered.tags, meta = rendered.meta, files = i.run.files,
    url = shown and (shown.publicUrl or shown.url) }
end

--- What the process alone gets: where to say that it is ready, and where to publish. Or nil and why
-- not.
local function own_environment(driver, i, run)
  local env = {}
  for name, value in pairs(run.env) do env[name] = value end
  local err
  run.socket, env.NOTIFY_SOCKET, err = ready.open(driver.stack, i.service, i.id, run.user)
  if err then return nil, err end
  if i.oneshot then
    run.output, err = outputs.prepare(driver.stack, i.id, run.user)
    if not run.output then return nil, err end
    env.ORRERY_OUTPUT = run.output
  end
  return env
end

--- What a running instance needs of all that was rendered for its start.
local function kept(rendered)
  return { hooks = rendered.hooks, stop = rendered.stop, cwd = rendered.cwd }
end

local function launch(driver, i, run, tell, env)
  run.spawning = true
  local child, err, code = spawn(driver, i, run.rendered, env)
  run.spawning = false
  if not child then
    if run.socket then run.socket:close() end
    return tell(start_error(err, { fatal = code == "not_found" or code == "denied" }))
  end
  run.process = child
  task.spawn(watch_exit, driver, i, run, tell)
  tell(started(driver, i, run.rendered, child.pid))
  run.rendered, run.files = kept(run.rendered), nil
  ready.follow(i.service, child, run.socket, mark_of(driver, i), tell)
  hooks.add(run.hooks, run, "afterStart", tell)
  if run.kill then child:kill() end
  if run.stop then M.stop(driver, i, tell) end
end

local function start(driver, i, run, tell)
  hooks.drain(run.hooks)
  local rendered, problem, env, files = prepare(driver, i)
  if not rendered then return tell(problem) end
  run.rendered, run.env, run.user = rendered, env, environment.user_of(i.service)
  run.files = files
  if i.service.external or i.service.embedded then
    return tell(started(driver, i, rendered))
  end
  if not rendered.exec then
    return tell(start_error(("services.%s has no exec, and its type '%s' gives none")
      :format(i.service.name, i.service.type), { fatal = true }))
  end
  local ok, err = hooks.perform_and_tell(run.hooks, run, "beforeStart", tell)
  if not ok then return tell(start_error(err)) end
  local own
  own, err = own_environment(driver, i, run)
  if not own then return tell(start_error(err, { fatal = true })) end
  launch(driver, i, run, tell, own)
end

--- Runs the stop command as the service; true if it did its work.
local function run_stop_command(run, stop)
  local rendered = run.rendered
  local result, err = process.run({ argv = rendered.stop.command, env = run.env,
    cwd = rendered.cwd, user = run.user, timeout = stop.timeout })
  if result and result.code == 0 then return true end
  core.log.warn(("stop.command of %s: %s; it gets %s instead"):format(run.id,
    err or outcome.told(result), stop.signal))
end

--- Runs beforeStop, signals (or runs the stop command), waits for the deadline, kills. The exit
-- itself is told by watch_exit.
local function end_process(run, stop, tell)
  hooks.clear(run.hooks)
  run.at_before_stop = true
  hooks.perform_and_tell(run.hooks, run, "beforeStop", tell)
  run.at_before_stop = nil
  if run.ended then return end
  local deadline = core.time.monotonic() + stop.timeout
  if not (stop.command and run_stop_command(run, stop)) then run.process:signal(stop.signal) end
  if run.process:wait(math.max(deadline - core.time.monotonic(), 0)) then return end
  run.killed = ("killed: it did not end within %g s of its stop signal"):format(stop.timeout)
  run.process:kill()
end

--- Before there is a process: a hook that runs is killed, and has ended before anybody hears that
-- the instance has.
local function end_start(run, tell)
  run.starter:join()
  tell({ kind = "exited", ok = true, code = 0, message = "stopped" })
end

function M.stop(_, i, tell)
  local run = i.run
  if run.process then
    if not run.ended and not run.ender then
      run.ender = task.spawn(end_process, run, i.service.stop, tell)
    end
  elseif run.spawning then
    run.stop = true
  elseif not run.ender then
    run.starter:cancel()
    run.ender = task.spawn(end_start, run, tell)
  end
end

--- Makes the driver. `context(i)` gives the render context of an instance, `shown(i)` the same with
-- every secret hidden.
function M.new(stack, context, shown)
  local driver = { stack = stack, context = context, shown = shown }

  function driver.start(_, i, tell)
    local run = { id = i.id, dir = stack.dir, group = i.service.group, tell = tell,
      hooks = i.run and i.run.hooks or hooks.new() }
    function run.shown()
      return { id = i.id, service = i.service.name, address = i.address, port = i.port,
        dirs = i.dirs, pid = run.process and run.process.pid }
    end
    i.run = run
    run.starter = task.spawn(function()
      local ok, err = xpcall(start, debug.traceback, driver, i, run, tell)
      if not ok and not tostring(err):find("^cancelled") then
        tell(start_error("cannot start: " .. tostring(err), { fatal = true }))
      end
    end)
  end

  function driver.stop(i, tell) M.stop(driver, i, tell) end

  function driver.checks(i, tell) task.spawn(refresh.checks, driver, i, tell) end

  function driver.files(i, tell, only, explicit)
    task.spawn(refresh.files, driver, i, tell, only, explicit)
  end

  function driver.kill(i)
    local run = i.run
    if not run then return end
    run.kill = true -- if it is being started
    hooks.kill(run.hooks)
    if run.process and not run.ended then run.process:kill() end
  end

  --- The instance serves, or serves no more: runs the hook for it.
  function driver.healthy(i, healthy)
    local run = i.run
    if not run or run.ender or run.ended or (run.healthy or false) == healthy then return end
    run.healthy = healthy
    if run.process then
      hooks.add(run.hooks, run, healthy and "onHealthy" or "onUnhealthy", run.tell)
    end
  end

  --- Whether a hook still runs that nobody waits for.
  function driver.busy(i) return i.run ~= nil and hooks.busy(i.run.hooks) end

  --- Ends instance i, whatever it does; returns when it has ended. Waits.
  function driver.halt(i)
    local run = i.run
    if not run then return end
    run.stop, run.halted = true, true
    if not run.process and not run.spawning then run.starter:cancel() end
    run.starter:join()
    hooks.kill(run.hooks)
    if run.process and not run.ended then end_process(run, i.service.stop, run.tell) end
    if run.process then run.process:wait() end
  end

  return driver
end

return M
