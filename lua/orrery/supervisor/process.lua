--- process -- the driver that runs instances as processes of the guard.
--
-- start() and stop() return at once; what came of it is told as a fact: `started`, `start_error` or
-- `exited`. An external or embedded service has no process: it starts and ends at once.
local core = require "orrery.core"
local environment = require "orrery.supervisor.environment"
local problem_of = require "orrery.problem"
local render = require "orrery.render"

local file, process, task = core.file, core.process, core.task

local M = {}

local HOOK_TIMEOUT = 300
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

local function run_hook(rendered, env, user)
  local hook = rendered.hooks and rendered.hooks.beforeStart
  if not hook then return true end
  local result, err = process.run({ argv = hook, env = env, cwd = rendered.cwd, user = user,
    timeout = HOOK_TIMEOUT })
  if not result then return nil, "hooks.beforeStart: " .. err end
  if result.timedOut then
    return nil, ("hooks.beforeStart: still running after %d s, and was ended"):format(HOOK_TIMEOUT)
  end
  if result.code ~= 0 then
    local said = result.stderr ~= "" and result.stderr or result.stdout
    return nil, ("hooks.beforeStart (%s): exited with code %s: %s")
      :format(hook[1], result.code or result.signal, said:sub(-1000))
  end
  return true
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

--- Everything before the process itself: folders, files, hook, port. Returns the rendered service
-- and its environment; or nil and the fact that tells why not.
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
  ok, err = render.write(files)
  if not ok then return nil, start_error(problem_of.line(err), { fatal = true }) end
  local env
  env, err = environment.build(driver.stack, service, rendered, context)
  if not env then return nil, start_error(err, { fatal = true }) end
  local taken = port_problem(i)
  if taken then return nil, start_error(taken, { fatal = true, foreign = taken }) end
  ok, err = run_hook(rendered, env, environment.user_of(service))
  if not ok then return nil, start_error(err) end
  return rendered, nil, env
end

--- What became of the process when the guard has died: it has ended it.
local LOST = { signal = "KILL" }

local function watch_exit(run, tell)
  local status = run.process:wait() or LOST
  run.ended = true
  tell({ kind = "exited", ok = status.code == 0, code = status.code, signal = status.signal,
    message = run.ender and (run.killed or "stopped")
      or describe(status, run.process:tail(1)[1]) })
end

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
    instance = driver.stack.dirs.state .. "#" .. i.id,
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
    url = shown and (shown.publicUrl or shown.url) }
end

local function start(driver, i, run, tell)
  local rendered, problem, env = prepare(driver, i)
  if not rendered then return tell(problem) end
  run.rendered, run.env, run.user = rendered, env, environment.user_of(i.service)
  if i.service.external or i.service.embedded then
    return tell(started(driver, i, rendered))
  end
  if not rendered.exec then
    return tell(start_error(("services.%s has no exec, and its type '%s' gives none")
      :format(i.service.name, i.service.type), { fatal = true }))
  end
  run.spawning = true
  local child, err, code = spawn(driver, i, rendered, env)
  run.spawning = false
  if not child then
    return tell(start_error(err, { fatal = code == "not_found" or code == "denied" }))
  end
  run.process = child
  task.spawn(watch_exit, run, tell)
  tell(started(driver, i, rendered, child.pid))
  if run.kill then child:kill() end
  if run.stop then M.stop(driver, i, tell) end
end

--- Runs the stop command as the service; true if it did its work.
local function run_stop_command(run, stop)
  local rendered = run.rendered
  local result, err = process.run({ argv = rendered.stop.command, env = run.env,
    cwd = rendered.cwd, user = run.user, timeout = stop.timeout })
  if result and result.code == 0 then return true end
  err = err or result.timedOut and "still running at the deadline"
    or ("exited with %s: %s"):format(result.code or result.signal, result.stderr:sub(-500))
  core.log.warn(("stop.command of %s: %s; it gets %s instead"):format(run.id, err, stop.signal))
end

--- Signals (or runs the stop command), waits for the deadline, kills. The exit itself is told by
-- watch_exit.
local function end_process(run, stop)
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
      run.ender = task.spawn(end_process, run, i.service.stop)
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
    local run = { id = i.id }
    i.run = run
    run.starter = task.spawn(function()
      local ok, err = xpcall(start, debug.traceback, driver, i, run, tell)
      if not ok and not tostring(err):find("^cancelled") then
        tell(start_error("cannot start: " .. tostring(err), { fatal = true }))
      end
    end)
  end

  function driver.stop(i, tell) M.stop(driver, i, tell) end

  function driver.kill(i)
    local run = i.run
    if not run then return end
    run.kill = true -- if it is being started
    if run.process and not run.ended then run.process:kill() end
  end

  --- Ends instance i, whatever it does; returns when it has ended. Waits.
  function driver.halt(i)
    local run = i.run
    if not run then return end
    run.stop = true
    if not run.process and not run.spawning then run.starter:cancel() end
    run.starter:join()
    if run.process and not run.ended then end_process(run, i.service.stop) end
    if run.process then run.process:wait() end
  end

  return driver
end

return M
