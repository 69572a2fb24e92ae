--- why -- what a service waits for, since when, and what would help, down to the root cause. Reads
-- the supervisor's instances and changes nothing.
local gate = require "orrery.supervisor.gate"
local groups = require "orrery.supervisor.groups"
local instances_of = require "orrery.supervisor.instances"
local ready = require "orrery.supervisor.ready"
local array = require("orrery.core").json.array

local M = {}

local MAX_CHAIN = 64

local function seconds(value) return ("%.1f s"):format(math.max(value, 0)) end

local function or_else(text, other) return text and text ~= "" and text or other end

local function ask(verb, i) return ("orrery %s %s"):format(verb, i.service.name) end

local function sorted_names(map)
  local names = {}
  for name in pairs(map or {}) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- ---- what holds an instance ----

--- The wait for a discovered group that has not enough instances.
local function group_wait(sup, name, dependency)
  local group = sup.groups[name]
  local met, reason = groups.met(name, dependency, group, sup.checks_on)
  if met then return nil end
  return { discover = true, min = dependency.min or 1, tag = dependency.tag, reason = reason,
    found = #groups.members(dependency, group and group.records, sup.checks_on),
    since = group and group.since, problem = group and group.problem }
end

--- The first of a service's instances that says most about why it does not serve; nil if one does.
local function unserving(sup, name)
  local found
  for _, other in ipairs(sup.by_service[name] or {}) do
    if gate.serves(other, sup.checks_on) then return nil end
    if not found or (found.state == "stopped" and other.state ~= "stopped") then found = other end
  end
  return found
end

--- What an unmet dependency on a service of this stack says.
local function service_wait(sup, name)
  local other = unserving(sup, name)
  if not other then return nil end
  return { state = other.state, health = other.health, since = other.since, instance = other.id,
    reason = select(2, gate.serves(other, sup.checks_on)) }
end

local function wait_on(sup, i, name, dependency, waited)
  local wait = (dependency.discover and group_wait or service_wait)(sup, name, dependency)
  if not wait then return nil end
  local budget = dependency.timeout or i.budget
  local dropped = sup.dropped[i.service.name] and sup.dropped[i.service.name][name]
  local over = waited and waited >= budget
  local holds = waited and (dependency.type == "required"
    or (dependency.type == "optional" and not dropped and not over)) or false
  wait.service, wait.type, wait.timeout, wait.holds = name, dependency.type, budget, holds
  wait.left = waited and not over and budget - waited or nil
  return wait
end

--- The dependencies of `i` that are not met.
local function waits_of(sup, i, now)
  local list = array({})
  local waiting = i.state == "waiting" or i.state == "blocked"
  local waited = waiting and i.waiting_since and now - i.waiting_since
  for _, name in ipairs(sorted_names(i.service.dependencies)) do
    list[#list + 1] = wait_on(sup, i, name, i.service.dependencies[name], waited)
  end
  return list
end

--- The last words of each check; what has not passed first.
local function checks_of(i)
  local list = array({})
  for _, name in ipairs(sorted_names(i.checks)) do
    local check = i.checks[name]
    local last = check.handle and check.handle:last()
    list[#list + 1] = { name = name, role = check.role, state = check.state,
      message = last and last.message or check.message, at = last and last.at }
  end
  return list
end

local function check_words(checks, role)
  for _, check in ipairs(checks) do
    if check.role == role and check.state ~= "passing" and check.message then
      return ("check '%s' says: %s"):format(check.name, check.message)
    end
  end
  return "no check has a verdict yet"
end

-- ---- what each state says ----

local says = {}

function says.stopped(v, i)
  if i.desired == "up" and i.held then
    v.text = "is kept stopped: " .. i.held
    v.unblock = "it starts again with: " .. ask("start", i)
  else
    v.text = "is stopped: " .. or_else(i.reason, "nobody has asked for it")
    v.unblock = "it starts with: " .. ask("start", i)
  end
end

local function needs_text(wait)
  local left = wait.left and (", for at most %s more"):format(seconds(wait.left)) or ""
  local group = wait.discover and ", discovered" or ""
  return ("%s (%s%s%s)"):format(wait.service, wait.type, group, left)
end

--- What must happen for a wait to end.
local function remedy(wait)
  if not wait.discover then return wait.service end
  return ("%s of %s in discovery (orrery discover %s)"):format(groups.wanted(wait), wait.service,
    wait.service)
end

function says.waiting(v, i)
  local parts, names = {}, {}
  for _, wait in ipairs(v.waits) do
    if wait.holds then
      parts[#parts + 1], names[#names + 1] = needs_text(wait), remedy(wait)
    end
  end
  if #names == 0 and i.gate_why and i.gate_why:find("^strategy ") then
    v.text = "waits for the coordination strategy: " .. i.gate_why:gsub("^strategy ", "")
    v.unblock = "it is asked again by itself"
    return
  end
  if #names == 0 then
    v.text = "is about to start"
    return
  end
  v.text = "waits for " .. table.concat(parts, ", ")
  v.unblock = "it starts the moment that is met: " .. table.concat(names, ", ")
end

function says.blocked(v, i)
  says.waiting(v, i)
  v.text = v.text .. ("; longer than it should (%g s)"):format(i.budget)
end

function says.starting(v, i, now)
  if i.desired == "down" or i.again then return M.stop_words(v, i) end
  if not i.spawned then
    v.text = "is being prepared: its folders, files and beforeStart hook come before its process"
    v.unblock = ("nothing to do; its log: orrery logs %s"):format(i.service.name)
  elseif i.oneshot then
    v.text = "runs once, and has not ended yet"
    v.unblock = "it is done when it exits with code 0"
  elseif i.waits_for_word then
    v.text = ("runs (pid %s), but is not ready: %s%s"):format(i.pid or "none", i.waits_for_word,
      i.status and ("; its status: " .. i.status) or "")
    v.left = i.started_at + i.budget - now
    v.unblock = ("it must say so within %s, else it is stopped and started again")
      :format(seconds(v.left))
  else
    v.text = ("runs (pid %s), but is not ready: %s"):format(i.pid or "none",
      ready.says(i.service) and ready.missing(i.service) or check_words(v.checks, "ready"))
    v.left = i.started_at + i.budget - now
    v.unblock = ("it must become ready; after %s it counts as running but unhealthy")
      :format(seconds(v.left))
  end
end

--- A service that should stop and must wait for those that depend on it.
function M.stop_words(v, i)
  if #v.holders == 0 then
    v.text = "is about to " .. (i.desired == "down" and "stop" or "restart")
    return
  end
  v.text = ("should %s, and waits until these have stopped: %s"):format(i.desired == "down"
    and "stop" or "restart", table.concat(v.holders, ", "))
  v.unblock = "they must end first; each is killed when its stop.timeout is over"
  if i.pid then v.text = v.text .. (" (it runs as pid %d)"):format(i.pid) end
end

function says.running(v, i)
  if i.desired == "down" or i.again then return M.stop_words(v, i) end
  local healthy = v.fine
  if healthy then
    v.text = i.health == "passing" and "runs and is healthy" or "runs"
  else
    v.text = ("runs, but its health is %s: %s"):format(i.health, check_words(v.checks, "ready"))
    v.unblock = "its ready check must pass"
  end
  M.flag_words(v, i)
end

local AFTER_LOSS = { keep = "it keeps running meanwhile (onDependencyFailure)",
  restart = "it is restarted for it (onDependencyFailure)",
  stop = "it is stopped for it (onDependencyFailure)" }

--- What its flags mean, and what clears them.
function M.flag_words(v, i)
  local helps
  if i.impaired then
    v.text = v.text .. "; impaired, for a service that it requires is down: " .. i.impaired
    helps = "impaired is cleared when that is healthy again; "
      .. AFTER_LOSS[i.on_dependency_failure or "keep"]
  end
  if i.degraded then
    v.text = v.text .. "; degraded, for an optional service is missing: " .. i.degraded
    helps = helps or "degraded is cleared, and its files are rendered again, when that is healthy"
  end
  if i.next_verify then
    v.text = v.text .. "; the other side of a circular dependency is not healthy yet"
    helps = helps or ("it counts as impaired %g s after its start, unless that comes")
      :format(i.next_verify)
  end
  if i.pending then
    v.text = v.text .. "; pending, for a file is not as it should be: " .. tostring(i.pending)
    helps = helps or "the file is written by itself once that has changed"
  end
  v.unblock = v.unblock or helps
end

function says.stopping(v, i)
  local stop = i.service.stop
  v.left = stop.timeout - (v.forSeconds or 0)
  v.text = ("is stopping (%s): its process %s has not ended since it got %s"):format(i.reason,
    i.pid or "", stop.command and "the stop command" or "SIG" .. (stop.signal or "TERM"))
  v.unblock = v.left > 0 and ("it is killed in %s (stop.timeout)"):format(seconds(v.left))
    or "its stop.timeout is over: it is being killed"
end

function says.backoff(v, i, now)
  v.nextTry = math.max(i.next_start - now, 0)
  if i.pending then
    v.text = "waits for a value: " .. i.reason
    v.unblock = ("it starts by itself once the value is known; it looks again in %s")
      :format(seconds(v.nextTry))
  else
    v.text = ("ended and will be started again (%d failure%s in a row): %s"):format(i.failures,
      i.failures == 1 and "" or "s", i.reason)
    v.unblock = ("next try in %s; at once with: %s"):format(seconds(v.nextTry), ask("restart", i))
  end
end

function says.failed(v, i)
  if i.foreign then
    v.text = "was not started, for its port is foreign: " .. i.foreign
    v.unblock = ("free the port, then: %s"):format(ask("start", i))
    return
  end
  v.text = "has failed, and is not started again by itself: " .. i.reason
  v.unblock = ("correct the cause, then: %s"):format(ask("start", i))
end

function says.done(v, i)
  v.text = "has done its work: " .. i.reason
  if not i.oneshot then v.unblock = "it starts again with: " .. ask("start", i) end
end

-- ---- one instance, the chain below it ----

local function is_fine(sup, i)
  if i.desired == "down" then return i.state == "stopped" end
  return gate.serves(i, sup.checks_on) or i.state == "done"
end

--- Everything about one instance. `now` is {wall =, monotonic =}.
local function explain(sup, i, now)
  local v = { id = i.id, service = i.service.name, desired = i.desired, state = i.state,
    health = i.health, reason = i.reason, since = i.since, pid = i.pid,
    forSeconds = math.max(now.wall - i.since, 0), waits = waits_of(sup, i, now.monotonic),
    checks = checks_of(i), holders = array({}), fine = is_fine(sup, i) and true or false }
  if i.desired == "down" or i.again then
    for _, other in ipairs(instances_of.holders(sup, i)) do
      v.holders[#v.holders + 1] = other.id
    end
  end
  says[i.state](v, i, now.monotonic)
  return v
end

local WEIGHT = { required = 3, circular = 2, optional = 1 }

--- Of the unmet dependencies the one that holds, else the one that weighs most.
local function first_unmet(sup, v)
  local first, weight
  for _, wait in ipairs(v.waits) do
    local own = (WEIGHT[wait.type] or 0) + (wait.holds and 10 or 0)
    if own > (weight or 0) then first, weight = wait, own end
  end
  if not first or not (first.holds or v.state == "running") then return nil end
  return first.instance and sup.by_id[first.instance]
end

--- Who must move first: a holder at shutdown, else the first unmet dependency.
local function below(sup, v)
  if v.holders[1] then return sup.by_id[v.holders[1]] end
  if v.desired == "down" or v.state == "failed" or v.state == "done" or v.state == "stopping"
    or v.state == "backoff" then return nil end
  return first_unmet(sup, v)
end

--- The links from `v` down to the root cause, itself not included; a service that was seen ends it.
local function chain_of(sup, v, now)
  local chain, seen = array({}), { [v.id] = true }
  while #chain < MAX_CHAIN do
    local i = below(sup, v)
    if not i or seen[i.id] then break end
    seen[i.id] = true
    v = explain(sup, i, now)
    chain[#chain + 1] = v
  end
  return chain
end

--- Why the service `name` is as it is: {service, fine, instances = {{id, state, since, text,
-- unblock, waits, holders, checks, chain, ...}}}; nil if there is none of this name. `now` is
-- {wall =, monotonic =} in seconds.
function M.service(sup, name, now)
  local instances = sup.by_service[name]
  if not instances then return nil end
  local answer = { service = name, fine = true, stopping = sup.ending, instances = array({}) }
  for n, i in ipairs(instances) do
    local v = explain(sup, i, now)
    v.chain = chain_of(sup, v, now)
    answer.instances[n] = v
    answer.fine = answer.fine and v.fine
  end
  return answer
end

return M
