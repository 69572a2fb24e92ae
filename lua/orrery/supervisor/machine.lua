--- machine -- the one state machine of an instance: what it does next. Pure: no clock, no I/O.
--
-- step(i, world) looks at the facts that the supervisor recorded in the instance `i` and at the
-- world it was given, and returns the next transition {to =, reason =, action =} or nil. The
-- supervisor applies it and asks again, until nothing is left to do. See README.md for the
-- picture.
--
-- Facts in `i` (written by the supervisor only):
--   desired    "up" or "down": what commands asked for
--   held       a reason not to start although desired up (onDependencyFailure = "stop")
--   again      a restart was asked for
--   spawned    the driver reported the instance as started
--   start_error {message, foreign, fatal, pending}  the driver could not start it
--   exit       {code | signal, message}  it ended
--   ready      what it said itself to be ready; waits_for_word: what it has not said yet
--   failures   how often in a row it failed; next_start is when backoff ends
--   health     "unknown" "passing" "failing" "flapping"
--   live       false once a check of role live failed
-- World: now, gate {open, blocked, why, degraded, impaired, lost, excuse}, may_stop, budget_over,
-- may_retry.
local restart = require "orrery.supervisor.restart"

local M = {}

local function to(state, reason, action) return { to = state, reason = reason, action = action } end

--- It is started again, unless that happened too often.
local function again(i, message, world)
  if not world.may_retry then
    return to("failed", ("%s; it was restarted %d times within %g s"):format(message,
      i.restart.max, i.restart.window))
  end
  return to("backoff", message, "backoff")
end

local function fails(i, message, world)
  if i.restart.policy == "never" then
    return to("failed", message .. "; restart policy is never")
  end
  return again(i, message, world)
end

--- What an exit leads to that we did not bring about.
local function after_exit(i, world)
  if i.desired == "down" then return to("stopped", i.exit.message) end
  if i.again then return to("waiting", i.exit.message, "wait") end
  local restarts, why = restart.again(i.restart, i.exit, i.oneshot)
  local message = why and i.exit.message .. "; " .. why or i.exit.message
  if restarts then return again(i, message, world) end
  return to(i.exit.ok and "done" or "failed", message)
end

local states = {}

function states.stopped(i)
  if i.desired == "up" and not i.held then return to("waiting", "start was asked for", "wait") end
end

function states.waiting(i, world)
  if i.desired == "down" then return to("stopped", "stop was asked for") end
  if i.held then return to("stopped", i.held) end
  if world.gate.open then
    return to("starting", world.gate.degraded or "its dependencies are met", "start")
  end
  if world.gate.blocked and i.state == "waiting" then return to("blocked", world.gate.why) end
end
states.blocked = states.waiting

function states.starting(i, world)
  if i.start_error then
    local problem = i.start_error
    if i.desired == "down" then return to("stopped", problem.message) end
    if i.again then return to("waiting", problem.message, "wait") end
    if problem.fatal then return to("failed", problem.message) end
    if problem.pending then return to("backoff", problem.message, "pend") end
    return fails(i, problem.message, world)
  end
  if i.exit then return after_exit(i, world) end
  if i.desired == "down" then
    return world.may_stop and to("stopping", "stop was asked for", "stop")
  end
  if i.again then return world.may_stop and to("stopping", "restart was asked for", "stop") end
  if not i.spawned then return nil end
  if i.oneshot then return nil end
  if i.waits_for_word and not i.ready then
    return world.budget_over and to("stopping", ("not ready within %g s: %s")
      :format(i.budget, i.waits_for_word), "stop_unready") or nil
  end
  if i.ready then return to("running", "ready: " .. i.ready) end
  if not i.waits_for_check then return to("running", "started") end
  if i.health == "passing" then return to("running", "ready") end
  if world.budget_over then
    return to("running", ("not ready within %g s: %s")
      :format(i.budget, i.health_message or "no verdict yet"))
  end
end

function states.running(i, world)
  if i.exit then return after_exit(i, world) end
  if i.desired == "down" then
    return world.may_stop and to("stopping", "stop was asked for", "stop") or nil
  end
  if i.again then return world.may_stop and to("stopping", "restart was asked for", "stop") end
  local lost = world.gate.lost
  if lost and i.on_dependency_failure == "restart" then
    return to("stopping", "restarting: " .. lost, "stop")
  end
  if lost and i.on_dependency_failure == "stop" then return to("stopping", lost, "hold") end
  if i.live == false and not world.gate.excuse then
    return to("stopping", "its live check fails: " .. (i.live_message or ""), "stop_failed")
  end
end

function states.stopping(i, world)
  local ended = i.exit or i.start_error -- it may never have started
  if not ended then return nil end
  if i.desired == "down" then return to("stopped", ended.message) end
  if i.held then return to("stopped", i.held) end
  if i.failed_live then return fails(i, i.failed_why or "its live check failed", world) end
  return to("waiting", "stopped, to start again", "wait")
end

function states.backoff(i, world)
  if i.desired == "down" then return to("stopped", "stop was asked for") end
  if i.again or world.now >= i.next_start then return to("waiting", "trying again", "wait") end
end

function states.failed(i)
  if i.desired == "down" then return to("stopped", "stop was asked for") end
  if i.again then return to("waiting", "start was asked for", "wait") end
end
states.done = states.failed

--- The next transition of instance `i`, or nil.
function M.step(i, world) return states[i.state](i, world) or nil end

return M
