--- actions -- what the supervisor does when an instance takes a transition: one function for each
-- action that machine.lua names.
local core = require "orrery.core"
local files = require "orrery.supervisor.files"
local health = require "orrery.supervisor.health"
local permit = require "orrery.supervisor.permit"
local ready = require "orrery.supervisor.ready"
local reload = require "orrery.supervisor.reload"
local restart = require "orrery.supervisor.restart"
local writer = require "orrery.supervisor.writer"

local PENDING_RETRY = 1 -- seconds

local actions = {}

function actions.wait(_, i)
  reload.succeed(i)
  permit.forget(i)
  i.waiting_since = core.time.monotonic()
  i.exit, i.start_error, i.spawned, i.again, i.failed_live, i.live = nil, nil, nil, nil, nil, nil
  i.failed_why = nil
end

function actions.start(sup, i)
  permit.forget(i)
  i.generation = i.generation + 1
  i.exit, i.start_error, i.spawned, i.again = nil, nil, nil, nil
  writer.set_flag(sup, i, "foreign", nil)
  i.started_at = core.time.monotonic()
  i.stale, i.restart_due = nil, nil -- the files are rendered now
  i.ready, i.status, i.verified = nil, nil, {}
  i.waits_for_word = sup.checks_on and ready.says(i.service) and ready.missing(i.service) or nil
  i.waits_for_check = sup.checks_on and i.service.readyWhen ~= "started"
    and health.has_ready(sup, i)
  sup.driver.start(sup, i, writer.teller(sup, i))
end

function actions.stop(sup, i)
  i.again = nil
  sup.driver.stop(i, writer.teller(sup, i))
end

function actions.hold(sup, i)
  i.held = i.reason
  actions.stop(sup, i)
end

function actions.stop_failed(sup, i)
  i.failed_live = true
  files.blame(sup, i, i.reason)
  actions.stop(sup, i)
end

--- It never said that it is ready.
function actions.stop_unready(sup, i)
  i.failed_live, i.failed_why = true, i.reason
  files.blame(sup, i, i.reason)
  actions.stop(sup, i)
end

--- A value is not known yet: looks again soon, and counts no failure.
function actions.pend(sup, i)
  writer.set_flag(sup, i, "pending", i.reason)
  i.next_start = core.time.monotonic() + PENDING_RETRY
end

function actions.backoff(_, i)
  local now = core.time.monotonic()
  writer.end_healthy(i)
  i.failures, i.restarts = i.failures + 1, i.restarts + 1
  table.insert(i.failed_at, now)
  if #i.failed_at > i.restart.max then table.remove(i.failed_at, 1) end
  i.next_start = now + restart.delay(i.restart, i.failures, math.random())
end

return actions
