--- permit -- the leave of a stack's own strategy, without which no instance starts.
--
-- Asked once the dependencies are met, in a task of its own; what it says comes back as a fact. A
-- refusal holds the instance as an unmet dependency does, and is asked about again.
local core = require "orrery.core"
local strategy_of = require "orrery.strategy"
local writer = require "orrery.supervisor.writer"

local M = {}

--- Forgets what was said, and ends the question that is under way.
function M.forget(i)
  if i.asking then i.asking:cancel() end
  i.asking, i.permit = nil, nil
end

local function ask(sup, i)
  local tell = writer.teller(sup, i)
  i.asking = core.task.spawn(function()
    local began = core.time.monotonic()
    local ok, why = strategy_of.may_start(sup.strategy, i)
    -- One that computes for long gets a tenth of the time.
    local pause = math.max(sup.strategy.retry, 10 * (core.time.monotonic() - began))
    tell { kind = "permit", ok = ok, message = why, pause = pause }
  end)
end

--- What it said: {ok, message, pause}.
function M.take(i, fact)
  i.asking = nil
  i.permit = { ok = fact.ok, message = fact.message,
    again = core.time.monotonic() + fact.pause }
end

--- Holds the gate of a waiting instance until it may start. `waited`: seconds that it has.
function M.look(sup, i, gate, now)
  if not sup.strategy or (i.state ~= "waiting" and i.state ~= "blocked") then return end
  if not gate.open then return M.forget(i) end
  local permit = i.permit
  if permit and permit.ok then return end
  local waited = now - i.waiting_since
  gate.open, gate.blocked = false, waited >= i.budget
  if waited < i.budget then gate.next = math.min(gate.next or i.budget, i.budget) end
  gate.why = ("strategy %s: %s"):format(sup.strategy.name,
    permit and permit.message or "it is being asked")
  if not i.asking and (not permit or now >= permit.again) then ask(sup, i) end
end

--- When it is to be asked again, or the moment `at` if that comes first; either may be nil.
function M.due(i, at)
  local again = i.permit and not i.permit.ok and not i.asking and i.permit.again
  if again and (not at or again < at) then return again end
  return at
end

--- Ends all questions.
function M.close(sup)
  for _, i in ipairs(sup.instances) do M.forget(i) end
end

return M
