--- supervisor -- moves observed state to desired state, through the one machine of machine.lua.
--
-- One task owns every instance. Facts (started, exited, a check's verdict) and commands reach it
-- through a queue; nothing else writes an instance. After each fact it asks machine.step() about
-- every instance, in start order, until no instance has anything left to do.
local core = require "orrery.core"
local actions = require "orrery.supervisor.actions"
local commands = require "orrery.supervisor.commands"
local files = require "orrery.supervisor.files"
local facts = require "orrery.supervisor.facts"
local gate = require "orrery.supervisor.gate"
local groups = require "orrery.supervisor.groups"
local health = require "orrery.supervisor.health"
local instances_of = require "orrery.supervisor.instances"
local machine = require "orrery.supervisor.machine"
local permit = require "orrery.supervisor.permit"
local reload = require "orrery.supervisor.reload"
local restart = require "orrery.supervisor.restart"
local writer = require "orrery.supervisor.writer"

local M = {}

local NONE = {}

--- Makes a supervisor. `options`: stack, plan (plan.build), driver, log (events),
-- on_change(instance) called when a state or health changed, on_files(instance) when its files
-- were written (neither may wait). `sup.discovery`, where discovered groups are looked up, may be
-- set until run().
function M.new(options)
  local sup = {
    stack = options.stack, plan = options.plan, driver = options.driver, log = options.log,
    on_change = options.on_change, on_files = options.on_files, queue = core.task.queue(),
    checks_on = options.stack.coordination.enableHealthChecks ~= false,
    instances = {}, by_service = {}, by_id = {}, groups = {}, touched = {}, leaving = {},
    ending = false, ended = false,
  }
  function sup.of(name) return sup.by_service[name] or NONE end
  instances_of.build(sup)
  instances_of.index(sup)
  return sup
end

--- What gate.lua looks at.
local function view_of(sup, i, now)
  return { of = sup.of, groups = sup.groups,
    dropped = sup.dropped[i.service.name] or NONE, checks_on = sup.checks_on,
    waited = now - (i.waiting_since or now), ran = now - (i.started_at or now) }
end

local function world_of(sup, i, now)
  return {
    now = now,
    gate = gate.look(i, view_of(sup, i, now)),
    may_stop = instances_of.may_stop(sup, i),
    may_retry = restart.may_retry(i.restart, i.failed_at, now),
    budget_over = i.started_at ~= nil and now - i.started_at >= i.budget,
  }
end

local function ask(sup, verb, what)
  if sup.ending and verb ~= "down" and verb ~= "kill" then
    return nil, "the stack is stopping; start it again with `orrery up` when it has ended", "closed"
  end
  if sup.ended then return nil, "the stack has stopped", "closed" end
  local answer = core.task.queue()
  sup.queue:push({ command = verb, names = what, answer = answer })
  local result = answer:pop()
  if result.refused then return nil, result.refused, "closed" end
  return result
end

--- Takes over a change that reload.prepare() made. Returns the names of the services it concerns,
-- or nil, message, "closed". Waits.
function M.reload(sup, change) return ask(sup, "reload", change) end

--- Carries out a command: "up" "start" "stop" "restart" "down" "kill". Returns the names of the
-- services it concerns, or nil, message, "not_found". Only the supervisor's own queue reaches the
-- instances; this waits for it.
function M.command(sup, verb, names)
  for _, name in ipairs(names or {}) do
    if not sup.by_service[name] then
      local known = table.concat(sup.plan.order, ", ")
      return nil, ("there is no service '%s'; the services are: %s"):format(name, known),
        "not_found"
    end
  end
  return ask(sup, verb, names or {})
end

--- Answers the commands that come too late.
local function refuse_rest(sup)
  sup.ended = true
  while #sup.queue > 0 do
    local fact = sup.queue:pop()
    if fact.answer then fact.answer:push({ refused = "the stack has stopped" }) end
  end
end

local function take(sup, fact)
  if fact.group then return groups.take(sup, fact) end
  if fact.command then
    fact.answer:push(commands[fact.command](sup, fact.names))
    return
  end
  local i = sup.by_id[fact.id]
  if not i or (i.generation ~= fact.generation and fact.kind ~= "hook") then return end
  facts[fact.kind](sup, i, fact)
  writer.touch_around(sup, i)
end

--- Whether its process runs, or its check does.
local function lives(i) return i.state == "running" or (i.state == "starting" and i.spawned) end

local function update_flags(sup, i, world)
  local gate_now, was_degraded = world.gate, i.degraded
  writer.set_flag(sup, i, "degraded", lives(i) and gate_now.degraded)
  writer.set_flag(sup, i, "impaired", lives(i) and gate_now.impaired)
  if lives(i) then files.update_flag(sup, i) end
  if was_degraded and not i.degraded and i.pid and lives(i) then
    files.stale(sup, i) -- what it lacked may be in its files
  end
end

--- Keeps what the gate said: what was met in this life, what it waits for, when to look again.
local function remember(i, found)
  i.next_budget, i.next_verify, i.gate_why = found.next, found.verify, found.why
  if lives(i) and i.verified then
    for name in pairs(found.met) do i.verified[name] = true end
  end
end

--- While a dependency is down a failed live check says nothing about `i`, and afterwards only if
-- it fails anew.
local function excuse(sup, i, found)
  if found.excuse then
    i.excused = i.live == false or nil
  elseif i.excused then
    i.excused = nil
    if i.live == false and lives(i) then health.renew_live(i, writer.teller(sup, i)) end
  end
end

--- When time alone moves the instance; nil if only a fact can.
local function due_at(i)
  if i.state == "backoff" then return i.next_start end
  if i.state == "waiting" or i.state == "blocked" then
    return permit.due(i, i.next_budget and i.waiting_since + i.next_budget)
  end
  if not lives(i) then return nil end
  local budget = i.state == "starting" and i.budget or nil
  if i.next_verify then budget = math.min(budget or i.next_verify, i.next_verify) end
  local at = budget and i.started_at + budget
  if i.untold then at = math.min(at or i.untold.at, i.untold.at) end
  return at
end

--- Only a step changes when an instance is due, so `sup.wake`, the first of these moments, says
-- when to look at all of them. What was due at this step has been done.
local function note_due(sup, i, now)
  local at = due_at(i)
  if at and at > now and (not sup.wake or at < sup.wake) then sup.wake = at end
end

local function step(sup, i)
  local now = core.time.monotonic()
  local world = world_of(sup, i, now)
  permit.look(sup, i, world.gate, now)
  excuse(sup, i, world.gate)
  files.restart_due(i, world)
  files.untold_due(sup, i, now)
  local transition = machine.step(i, world)
  if transition then
    writer.set_state(sup, i, transition)
    if transition.action then actions[transition.action](sup, i) end
  end
  remember(i, world.gate)
  update_flags(sup, i, world)
  local serves = i.state == "running" and gate.serves(i, sup.checks_on)
  if sup.driver.healthy then sup.driver.healthy(i, serves) end
  note_due(sup, i, now)
end

--- Those that something happened to, in start order; none is marked afterwards.
local function take_touched(sup)
  local list = {}
  for i in pairs(sup.touched) do list[#list + 1] = i end
  table.sort(list, function(a, b) return a.order < b.order end)
  sup.touched = {}
  return list
end

--- Steps what was touched until nothing moves. An instance that moves touches itself and those
-- around it.
local function settle(sup)
  while next(sup.touched) do
    for _, i in ipairs(take_touched(sup)) do step(sup, i) end
  end
end

--- Touches those whose time has come, and finds the moment when the next one's does.
local function touch_due(sup, now)
  if not sup.wake or sup.wake > now then return end
  sup.wake = nil
  for _, i in ipairs(sup.instances) do
    local at = due_at(i)
    if at and at <= now then sup.touched[i] = true
    elseif at then sup.wake = math.min(sup.wake or at, at) end
  end
end

--- Seconds to the next moment at which time alone moves something; nil if only a fact can.
local function pause(sup)
  return sup.wake and math.max(sup.wake - core.time.monotonic(), 0) + 0.001
end

local function all_stopped(sup)
  for _, i in ipairs(sup.instances) do
    if i.desired == "up" or i.state ~= "stopped" then return false end
    if sup.driver.busy and sup.driver.busy(i) then return false end
  end
  return true
end

local function run(sup)
  repeat
    touch_due(sup, core.time.monotonic())
    settle(sup)
    reload.sweep(sup)
    if sup.ending and all_stopped(sup) then break end
    local fact = sup.queue:pop(pause(sup))
    while fact do
      take(sup, fact)
      fact = #sup.queue > 0 and sup.queue:pop() or nil
    end
  until false
end

--- Ends what runs, dependents first. Waits.
local function end_all(sup)
  for n = #sup.instances, 1, -1 do
    health.close(sup.instances[n])
    sup.driver.halt(sup.instances[n])
  end
end

--- Runs until everything has stopped after a "down" command. Waits. Should it fail, which is a
-- fault of ours, nothing is left half supervised: everything is stopped, and it returns nil and
-- the fault.
function M.run(sup)
  groups.update(sup)
  local ok, fault = xpcall(run, debug.traceback, sup)
  groups.close(sup)
  permit.close(sup)
  refuse_rest(sup)
  if ok then return true end
  if not tostring(fault):find("^cancelled") then
    core.log.error("the supervisor failed; it stops everything: " .. tostring(fault))
  end
  end_all(sup)
  return nil, (tostring(fault):match("^[^\n]*"))
end

return M
