--- follow -- waits for the agent to bring something about, and shows what happens meanwhile.
local core = require "orrery.core"
local present = require "orrery.cli.present"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local M = {}

local BEAT = 1           -- seconds between two updates of the line that changes
local SETTLE = 0.05      -- events come in groups; one look at the state answers for a group
local GROUP = 1          -- seconds that a group may take
local END_POLL = 0.05    -- seconds; a process that is not ours has no event to tell its end by
local END_PATIENCE = 30  -- seconds an agent may need to go once its API is closed

--- Hands on the events of the next `wait` seconds; nil, message, "closed" once there can be none.
local function drain(source, wait, on_event)
  local event, message, code = source:next(wait)
  local ends = core.time.monotonic() + GROUP
  while event do
    if on_event then on_event(event) end
    if core.time.monotonic() >= ends then return true end
    event, message, code = source:next(SETTLE)
  end
  if code == "timeout" then return true end
  return nil, message, "closed"
end

local function watch(client, source, state, done, options)
  local started = core.time.monotonic()
  while not (state and done(state)) do
    local waited = core.time.monotonic() - started
    local left = options.timeout and options.timeout - waited or BEAT
    if left <= 0 then return nil, "timed out", "timeout", state end
    if options.on_beat and state then options.on_beat(state, waited) end
    local open, message, code = drain(source, math.min(left, BEAT), options.on_event)
    if not open then return nil, message, code end
    state, message, code = client:state()
    if not state then return nil, message, code and "closed" end
  end
  return state
end

--- The state once `done(state)` is true; or nil, message, "timeout" (and the last state) or
-- "closed" when the agent has ended. options: since, timeout, on_event(event), on_beat(state,
-- waited). With `since` there are events to come: the state is not looked at before the first.
function M.wait(client, done, options)
  local state, source, message, code
  if not options.since then
    state, message, code = client:state()
    if not state then return nil, message, code end
  end
  source, message, code = client:events({since = options.since or state.seq, follow = true})
  if not source then return nil, message, code end
  local result, problem, reason, last = watch(client, source, state, done, options)
  source:close()
  return result, problem, reason, last
end

--- Waits until a process that is not ours has gone; false if it does not go.
function M.gone(pid, start_time, patience)
  local deadline = core.time.monotonic() + (patience or END_PATIENCE)
  repeat
    local stat = core.process.stat(pid)
    if not stat or stat.state == "Z" or (start_time and stat.startTime ~= start_time) then
      return true
    end
    core.time.sleep(END_POLL)
  until core.time.monotonic() >= deadline
  return false
end

--- {pds = true} for {"pds"}.
function M.set(names)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return set
end

--- done() for "the services in `set` (all if nil) are where they will stay".
function M.settled(set)
  return function(state)
    for _, service in ipairs(state.services) do
      for _, instance in ipairs(service.instances) do
        if (not set or set[service.name]) and not instance.settled then return false end
      end
    end
    return true
  end
end

--- Progress of a wait: one line for each change, and on a terminal a line that says who is awaited.
-- It joins the progress `shown` already, if given.
function M.progress(set, shown)
  local p = shown or ui.progress()
  local function awaited(state, waited)
    local names = {}
    for _, service in ipairs(state.services) do
      for _, instance in ipairs(service.instances) do
        if (not set or set[service.name]) and not instance.settled then
          names[#names + 1] = ("%s (%s)"):format(service.name, instance.state)
          break
        end
      end
    end
    ui.progress_status(p, ("waiting for %s, %s"):format(table.concat(names, ", "),
      ui.duration(waited)))
  end
  return {
    show = p,
    on_event = function(event) ui.progress_line(p, present.event(event)) end,
    on_beat = awaited,
  }
end

--- Waits until the services in `set` (nil: all) are at rest, with progress, and returns the state;
-- ends the command if they are not within `timeout` seconds (of `all`, where some have passed).
-- options: timeout, all, since, verb, hides (a type of event that is not shown).
function M.rest(ctx, client, set, options)
  local progress = M.progress(set)
  local verb = options.verb and options.verb .. ": " or ""
  local function on_event(event)
    if event.type ~= options.hides then progress.on_event(event) end
  end
  local state, problem, reason = M.wait(client, M.settled(set), { timeout = options.timeout,
    since = options.since, on_event = on_event, on_beat = progress.on_beat })
  ui.progress_end(progress.show)
  if state then return state end
  if reason == "timeout" then
    session.fail(session.TIMED_OUT, "%snot done within %s; it goes on; look with: %s", verb,
      ui.duration(options.all or options.timeout), session.paste(ctx, "status"))
  end
  session.fail(session.UNREACHABLE, "%sthe agent ended meanwhile: %s", verb, problem)
end

--- Posts a command and waits until the services it concerns are at rest. Returns the state and the
-- set of services; ends the command if that fails or takes longer than `timeout`.
function M.command(ctx, client, verb, names, timeout)
  local answer, message, code = client:post(verb, names)
  if not answer then
    session.fail(code == "not_found" and session.USAGE or session.UNHEALTHY, "%s", message)
  end
  local set = M.set(answer.services)
  return M.rest(ctx, client, set, { timeout = timeout, verb = verb }), set
end

return M
