--- facts -- what is recorded of an instance when the driver, a check or a hook tells something: one
-- function for each kind of fact.
local core = require "orrery.core"
local files = require "orrery.supervisor.files"
local health = require "orrery.supervisor.health"
local permit = require "orrery.supervisor.permit"
local writer = require "orrery.supervisor.writer"

local facts = {}

--- The driver started it: {pid =, checks = rendered check specs, url =}.
function facts.started(sup, i, fact)
  writer.set_flag(sup, i, "pending", nil)
  i.spawned, i.pid, i.url, i.did = true, fact.pid, fact.url, fact.did
  i.tags, i.meta = fact.tags, fact.meta
  if fact.files then files.started(sup, i, fact.files) end
  if sup.checks_on and not i.oneshot then
    health.open(sup, i, fact.checks, writer.teller(sup, i))
  end
end

function facts.start_error(sup, i, fact)
  i.start_error = fact
  if not fact.pending then writer.set_flag(sup, i, "pending", nil) end
  writer.set_flag(sup, i, "foreign", fact.foreign)
end

--- What a oneshot has published is known now: who waits for a value looks again.
local function publish(sup, i, values)
  i.outputs = values
  for _, other in ipairs(sup.instances) do
    if other.pending and other.state == "backoff" then
      other.next_start = core.time.monotonic()
      sup.touched[other] = true
    end
  end
end

function facts.exited(sup, i, fact)
  health.close(i)
  writer.end_healthy(i)
  i.exit, i.pid, i.refreshing, i.swapped = fact, nil, nil, nil
  if i.state ~= "stopping" then files.blame(sup, i, fact.message) end
  if fact.outputs then publish(sup, i, fact.outputs) end
  writer.set_health(sup, i, "unknown", fact.message)
end

--- The strategy said whether it may start.
function facts.permit(_, i, fact) permit.take(i, fact) end

--- It says itself that it is ready.
function facts.ready(sup, i, fact)
  if i.ready then return end
  i.ready = fact.message
  writer.emit(sup, i, "notify", { reason = fact.message })
end

--- It says what it is doing; or somebody else did in its name.
function facts.says(sup, i, fact)
  if fact.status == i.status and not fact.refused then return end
  i.status = fact.status or i.status
  writer.emit(sup, i, "notify", { reason = fact.refused or fact.status })
end

--- A hook ended: {name, ok, message}.
function facts.hook(sup, i, fact)
  writer.emit(sup, i, "hook", { hook = fact.name, to = fact.ok and "done" or "failed",
    reason = fact.message })
end

--- A check changed its mind: {name, state, message, latency}.
function facts.check(sup, i, fact)
  local check = i.checks[fact.name]
  if not check then return end
  check.state, check.message, check.latency = fact.state, fact.message, fact.latency
  if i.swapped then i.swapped, i.planned = nil, i.again and i.planned end
  if check.role == "live" then
    i.live = fact.state == "passing" or nil
    if fact.state == "failing" then i.live, i.live_message = false, fact.message end
  end
  writer.set_health(sup, i, health.combine(i))
  if i.health == "failing" then files.blame(sup, i, i.health_message or fact.message) end
end

--- A reload brought other checks, rendered: the old ones end, what they said stands for now.
function facts.checks(sup, i, fact)
  i.refreshing = nil
  if fact.problem then
    return writer.emit(sup, i, "reload", { to = "failed", reason = fact.problem })
  end
  if not i.spawned or i.exit then return end
  health.swap(sup, i, fact.specs, writer.teller(sup, i))
  i.live, i.swapped = nil, next(i.checks) ~= nil or nil
  if not i.swapped then i.planned = nil end
  writer.set_health(sup, i, health.combine(i))
end

--- Its files were rendered again, and what changed was written and taken up.
facts.files = files.refreshed

--- Something that its files were made of has changed: {paths, explicit}.
function facts.stale(sup, i, fact) files.stale(sup, i, fact.paths, fact.explicit) end

return facts
