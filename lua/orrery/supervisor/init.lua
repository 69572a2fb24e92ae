--- supervisor -- moves observed state to desired state, through the one machine of machine.lua.
--
-- One task owns every instance. Facts (started, exited, a check's verdict) and commands reach it
-- through a queue; nothing else writes an instance. After each fact it asks machine.step() about
-- every instance, in start order, until no instance has anything left to do.
local core = require "orrery.core"
local edges = require "orrery.edges"
local events = require "orrery.events"
local gate = require "orrery.supervisor.gate"
local health = require "orrery.supervisor.health"
local instances_of = require "orrery.supervisor.instances"
local machine = require "orrery.supervisor.machine"
local ready = require "orrery.supervisor.ready"
local reload = require "orrery.supervisor.reload"

local M = {}

local AT_REST = { stopped = true, failed = true, done = true, backoff = true, waiting = true,
  blocked = true }

--- A restart that was asked for has not worked, or has: it excuses nothing any more.
local FINAL = { failed = true, done = true, backoff = true }

local PENDING_RETRY = 1  -- seconds
local HEALTHY_AGAIN = 60 -- seconds

--- Makes a supervisor. `options`: stack, plan (plan.build), driver, log (events),
-- on_change(instance) called when a state or health changed (it must not wait), check_specs (from
-- health.specs).
function M.new(options)
  local sup = {
    stack = options.stack, plan = options.plan, driver = options.driver, log = options.log,
    on_change = options.on_change, queue = core.task.queue(),
    checks_on = options.stack.coordination.enableHealthChecks ~= false,
    instances = {}, by_service = {}, by_id = {}, touched = {}, ending = false, ended = false,
  }
  instances_of.build(sup)
  instances_of.index(sup)
  return sup
end

local function of(sup) return function(name) return sup.by_service[name] or {} end end

--- The optional and soft edges of a service that a cycle forbids, as a set of names.
local function dropped_of(sup, name) return sup.dropped[name] or {} end

--- Nothing that was told to stop, that depends on i and starts after it, is still there. (In a
-- cycle of circular edges the one that starts last stops first: to wait for all would be to wait
-- for each other.)
local function may_stop(sup, i)
  for _, name in ipairs(sup.dependents[i.service.name] or {}) do
    for _, other in ipairs(sup.by_service[name] or {}) do
      local leaves = other.desired == "down"
        or (other.planned and (other.again or other.state == "stopping"))
      if leaves and other.order > i.order and not AT_REST[other.state] then return false end
    end
  end
  return true
end

local function may_retry(i, now)
  local recent = 0
  for _, at in ipairs(i.failed_at) do
    if now - at < i.restart.window then recent = recent + 1 end
  end
  return recent < i.restart.max
end

local function world_of(sup, i, now)
  local waited = now - (i.waiting_since or now)
  return {
    now = now,
    gate = gate.look(i, of(sup), dropped_of(sup, i.service.name), sup.checks_on, waited),
    may_stop = may_stop(sup, i),
    may_retry = may_retry(i, now),
    budget_over = i.started_at ~= nil and now - i.started_at >= i.budget,
  }
end

local function emit(sup, i, kind, fields)
  fields.type, fields.service, fields.instance = kind, i.service.name, i.id
  events.add(sup.log, fields)
end

--- It serves: a restart that was asked for is over.
local function begin_healthy(i)
  if i.again then return end -- it is about to stop
  i.planned = nil
  i.healthy_since = i.healthy_since or core.time.monotonic()
end

--- It serves no more. What served long enough begins its count of failures anew.
local function end_healthy(i)
  local since = i.healthy_since
  if since and core.time.monotonic() - since >= HEALTHY_AGAIN then i.failures = 0 end
  i.healthy_since = nil
end

local function set_health(sup, i, value, message)
  i.health_message = message
  if i.health == value then return end
  local before = i.health
  i.health = value
  if value == "passing" then begin_healthy(i) else end_healthy(i) end
  emit(sup, i, "health", { from = before, to = value, reason = message })
  if sup.on_change then sup.on_change(i) end
end

--- Marks an instance, and all whose gate or whose leave to stop depends on it, for the next look.
local function touch_around(sup, i)
  sup.touched[i] = true
  for name in pairs(i.service.dependencies) do
    for _, other in ipairs(sup.by_service[name] or {}) do sup.touched[other] = true end
  end
  for _, name in ipairs(sup.dependents[i.service.name] or {}) do
    for _, other in ipairs(sup.by_service[name] or {}) do sup.touched[other] = true end
  end
end

--- The only writer of an instance's state.
local function set_state(sup, i, transition)
  local before = i.state
  i.state, i.reason, i.since = transition.to, transition.reason, core.time.now()
  if FINAL[i.state] then i.planned = nil end
  if i.state == "running" and (i.unchecked or not sup.checks_on) then begin_healthy(i) end
  emit(sup, i, "state", { from = before, to = i.state, reason = i.reason })
  touch_around(sup, i)
  if sup.on_change then sup.on_change(i) end
end

local function set_flag(sup, i, flag, why)
  if (i[flag] and true or false) == (why and true or false) then return end
  i[flag] = why or nil
  emit(sup, i, "flag", { flag = flag, to = why and "set" or "cleared", reason = why or "" })
end

--- Hands a fact about instance `id` to the supervisor; may be called from any task.
local function tell(sup, id, generation, fact)
  fact.id, fact.generation = id, generation
  sup.queue:push(fact)
end

local function teller(sup, i)
  local id, generation = i.id, i.generation
  return function(fact) tell(sup, id, generation, fact) end
end

local actions = {}

function actions.wait(_, i)
  reload.succeed(i)
  i.waiting_since = core.time.monotonic()
  i.exit, i.start_error, i.spawned, i.again, i.failed_live, i.live = nil, nil, nil, nil, nil, nil
  i.failed_why = nil
end

function actions.start(sup, i)
  i.generation = i.generation + 1
  i.exit, i.start_error, i.spawned, i.again, i.foreign = nil, nil, nil, nil, nil
  i.started_at = core.time.monotonic()
  i.ready, i.status = nil, nil
  i.waits_for_word = sup.checks_on and ready.says(i.service) and ready.missing(i.service) or nil
  i.waits_for_check = sup.checks_on and i.service.readyWhen ~= "started"
    and health.has_ready(sup, i)
  sup.driver.start(sup, i, teller(sup, i))
end

function actions.stop(sup, i)
  i.again = nil
  sup.driver.stop(i, teller(sup, i))
end

function actions.hold(sup, i)
  i.held = i.reason
  actions.stop(sup, i)
end

function actions.stop_failed(sup, i)
  i.failed_live = true
  actions.stop(sup, i)
end

--- It never said that it is ready.
function actions.stop_unready(sup, i)
  i.failed_live, i.failed_why = true, i.reason
  actions.stop(sup, i)
end

--- A value is not known yet: looks again soon, and counts no failure.
function actions.pend(_, i)
  i.pending = true
  i.next_start = core.time.monotonic() + PENDING_RETRY
end

function actions.backoff(_, i)
  local now = core.time.monotonic()
  end_healthy(i)
  i.failures, i.restarts = i.failures + 1, i.restarts + 1
  table.insert(i.failed_at, now)
  if #i.failed_at > i.restart.max then table.remove(i.failed_at, 1) end
  i.next_start = now + machine.delay(i.restart, i.failures, math.random())
end

local facts = {}

--- The driver started it: {pid =, checks = rendered check specs, url =}.
function facts.started(sup, i, fact)
  i.pending = nil
  i.spawned, i.pid, i.url, i.did = true, fact.pid, fact.url, fact.did
  if sup.checks_on and not i.oneshot then health.open(sup, i, fact.checks, teller(sup, i)) end
end

function facts.start_error(_, i, fact)
  i.start_error = fact
  i.foreign = fact.foreign
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
  end_healthy(i)
  i.exit, i.pid, i.refreshing, i.swapped = fact, nil, nil, nil
  if fact.outputs then publish(sup, i, fact.outputs) end
  set_health(sup, i, "unknown", fact.message)
end

--- It says itself that it is ready.
function facts.ready(sup, i, fact)
  if i.ready then return end
  i.ready = fact.message
  emit(sup, i, "notify", { reason = fact.message })
end

--- It says what it is doing; or somebody else did in its name.
function facts.says(sup, i, fact)
  if fact.status == i.status and not fact.refused then return end
  i.status = fact.status or i.status
  emit(sup, i, "notify", { reason = fact.refused or fact.status })
end

--- A hook ended: {name, ok, message}.
function facts.hook(sup, i, fact)
  emit(sup, i, "hook", { hook = fact.name, to = fact.ok and "done" or "failed",
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
  set_health(sup, i, health.combine(i))
end

--- A reload brought other checks, rendered: the old ones end, what they said stands for now.
function facts.checks(sup, i, fact)
  i.refreshing = nil
  if fact.problem then return emit(sup, i, "reload", { to = "failed", reason = fact.problem }) end
  if not i.spawned or i.exit then return end
  health.swap(sup, i, fact.specs, teller(sup, i))
  i.live, i.swapped = nil, next(i.checks) ~= nil or nil
  if not i.swapped then i.planned = nil end
  set_health(sup, i, health.combine(i))
end

--- A reload wrote its files again: {changed, restart, problem}.
function facts.files(sup, i, fact)
  i.refreshing = nil
  if fact.problem then return emit(sup, i, "reload", { to = "failed", reason = fact.problem }) end
  for _, path in ipairs(fact.changed) do
    emit(sup, i, "file", { to = "written", message = path })
  end
  if fact.restart and not i.exit then i.again, i.planned = true, true end
end

local commands = {}

--- The services a command names; all if it names none.
local function named(sup, names) return #names > 0 and names or sup.plan.order end

local function each(sup, names, act)
  for _, name in ipairs(names) do
    for _, i in ipairs(sup.by_service[name] or {}) do
      act(i)
      touch_around(sup, i)
    end
  end
  return names
end

local function edges_of(sup) return edges.spec(sup.stack) end

--- What has failed is tried again.
function commands.up(sup, names)
  local wanted = #names > 0 and core.graph.needs(edges_of(sup), names) or sup.plan.order
  return each(sup, wanted, function(i)
    i.desired, i.held = "up", nil
    if i.state == "failed" or i.state == "backoff" then i.again = true end
    if i.state == "failed" then i.failed_at, i.failures = {}, 0 end
  end)
end

--- As up; and what is done is done, unless it is named.
function commands.start(sup, names)
  local wanted = commands.up(sup, names)
  each(sup, names, function(i)
    if i.state == "done" then i.again = true end
  end)
  return wanted
end

function commands.stop(sup, names)
  local wanted, seen = {}, {}
  local function add(list)
    for _, name in ipairs(list) do
      if not seen[name] then wanted[#wanted + 1] = name end
      seen[name] = true
    end
  end
  names = named(sup, names)
  add(names)
  add(core.graph.dependents(edges_of(sup), names))
  return each(sup, wanted, function(i) i.desired = "down" end)
end

function commands.restart(sup, names)
  return each(sup, named(sup, names), function(i)
    i.desired, i.held, i.again, i.planned = "up", nil, true, true
    i.failed_at, i.failures = {}, 0
    if i.state == "stopped" or i.state == "waiting" or i.state == "blocked" then i.again = nil end
  end)
end

function commands.down(sup)
  if not sup.ending then events.add(sup.log, { type = "agent", to = "stopping" }) end
  sup.ending = true
  return each(sup, sup.plan.order, function(i) i.desired = "down" end)
end

--- Kills what still runs: the second Ctrl-C.
function commands.kill(sup)
  local names = commands.down(sup)
  for _, i in ipairs(sup.instances) do sup.driver.kill(i) end
  return names
end

--- Takes over a changed stack, as reload.prepare() made it ready.
function commands.reload(sup, change) return reload.apply(sup, change, teller) end

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
  if fact.command then
    fact.answer:push(commands[fact.command](sup, fact.names))
    return
  end
  local i = sup.by_id[fact.id]
  if not i or (i.generation ~= fact.generation and fact.kind ~= "hook") then return end
  facts[fact.kind](sup, i, fact)
  touch_around(sup, i)
end

local function update_flags(sup, i, world)
  local running = i.state == "running" or (i.state == "starting" and i.spawned)
  set_flag(sup, i, "degraded", running and world.gate.degraded)
  set_flag(sup, i, "impaired", running and world.gate.impaired)
end

local function step(sup, i)
  local world = world_of(sup, i, core.time.monotonic())
  i.next_budget = world.gate.next
  local transition = machine.step(i, world)
  if transition then
    set_state(sup, i, transition)
    if transition.action then actions[transition.action](sup, i) end
  end
  update_flags(sup, i, world)
  local serves = i.state == "running" and gate.serves(i, sup.checks_on)
  if sup.driver.healthy then sup.driver.healthy(i, serves) end
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

--- When time alone moves the instance; nil if only a fact can.
local function due_at(i)
  if i.state == "backoff" then return i.next_start end
  if i.state == "waiting" or i.state == "blocked" then
    return i.next_budget and i.waiting_since + i.next_budget
  end
  if i.state == "starting" and i.spawned then return i.started_at + i.budget end
end

--- Touches those whose time has come. Returns the moment when the next one's comes, or nil.
local function touch_due(sup, now)
  local wake
  for _, i in ipairs(sup.instances) do
    local at = due_at(i)
    if at and at <= now then sup.touched[i] = true
    elseif at and (not wake or at < wake) then wake = at end
  end
  return wake
end

--- Seconds to the next moment at which time alone moves something; nil if only a fact can. What
-- settle() did may have set earlier ones.
local function pause(sup, looked_at)
  local wake = touch_due(sup, looked_at)
  return wake and math.max(wake - core.time.monotonic(), 0) + 0.001
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
    local now = core.time.monotonic()
    touch_due(sup, now)
    settle(sup)
    reload.sweep(sup)
    if sup.ending and all_stopped(sup) then break end
    local fact = sup.queue:pop(pause(sup, now))
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
  local ok, fault = xpcall(run, debug.traceback, sup)
  refuse_rest(sup)
  if ok then return true end
  if not tostring(fault):find("^cancelled") then
    core.log.error("the supervisor failed; it stops everything: " .. tostring(fault))
  end
  end_all(sup)
  return nil, (tostring(fault):match("^[^\n]*"))
end

return M
