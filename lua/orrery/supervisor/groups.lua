--- groups -- discovered groups: dependencies on whoever discovery knows, such as
-- { name = "relay", discover = true, min = 2, tag = "eu" }.
--
-- One task for each name watches it in discovery and tells the supervisor what it answers. An
-- answer that came stands until the next one: while discovery does not answer, nobody is taken
-- to be gone.
local core = require "orrery.core"
local events = require "orrery.events"
local suggest = require "orrery.suggest"

local M = {}

local SHOWN = 8 -- members that a sentence names

-- ---- what counts; pure ----

local function carries(record, tag)
  if tag == nil then return true end
  for _, own in ipairs(record.tags or {}) do if own == tag then return true end end
  return false
end

--- The records that count for a dependency. Where health checks are off, being there is enough.
function M.members(dependency, records, checks_on)
  local found = {}
  for _, record in ipairs(records or {}) do
    local passing = not checks_on or (record.status or "passing") == "passing"
    if passing and carries(record, dependency.tag) then found[#found + 1] = record end
  end
  return found
end

--- "at least 2 passing instances tagged eu"
function M.wanted(dependency)
  local min = dependency.min or 1
  return ("at least %d passing instance%s%s"):format(min, min == 1 and "" or "s",
    dependency.tag and " tagged " .. dependency.tag or "")
end

local function ids_of(records)
  local ids = {}
  for n, record in ipairs(records) do
    if n > SHOWN then
      ids[n] = ("and %d more"):format(#records - SHOWN)
      break
    end
    ids[n] = record.id or record.address
  end
  return #ids > 0 and table.concat(ids, ", ") or "none"
end

--- Whether `group` ({records, problem}) has what the dependency on `name` asks for; else why not.
function M.met(name, dependency, group, checks_on)
  if not (group and group.records) then
    return false, ("discovery has not said yet who %s is%s"):format(name,
      group and group.problem and ": " .. group.problem or "")
  end
  local found = M.members(dependency, group.records, checks_on)
  if #found >= (dependency.min or 1) then return true end
  local stale = group.problem and "; that was its last answer: " .. group.problem or ""
  return false, ("%s needs %s; discovery has %d of %d (%s)%s"):format(name, M.wanted(dependency),
    #found, #group.records, ids_of(group.records), stale)
end

-- ---- following ----

--- Pushes every answer as {group = name, records, problem}. Waits; ends with the discovery.
local function follow(queue, discovery, name)
  local watch <close> = discovery:watch(name)
  while true do
    local records, info, code = watch:next()
    if code == "closed" then return end
    local problem = info
    if records then problem = info.error end
    queue:push({ group = name, records = records, problem = problem })
  end
end

local function wanted_names(stack)
  local wanted = {}
  for _, service in pairs(stack.services) do
    for name, dependency in pairs(service.dependencies) do
      if dependency.discover then wanted[name] = true end
    end
  end
  return wanted
end

--- Follows the groups that the stack of `sup` names now, and no others.
function M.update(sup)
  local wanted = wanted_names(sup.stack)
  for name, group in pairs(sup.groups) do
    if not wanted[name] then
      if group.follower then group.follower:cancel() end
      sup.groups[name] = nil
    end
  end
  for _, name in ipairs(suggest.names(wanted)) do
    if not sup.groups[name] then
      local follower = sup.discovery and core.task.spawn(follow, sup.queue, sup.discovery, name)
      sup.groups[name] = { follower = follower, since = core.time.now(),
        problem = not sup.discovery and "there is no discovery backend" or nil }
    end
  end
end

--- Takes an answer; touches who depends on it.
function M.take(sup, fact)
  local group = sup.groups[fact.group]
  if not group then return end
  local before = group.records and ids_of(group.records)
  group.problem, group.records = fact.problem, fact.records or group.records
  local after = group.records and ids_of(group.records)
  if before ~= after then
    group.since = core.time.now()
    events.add(sup.log, { type = "discovery", service = fact.group, reason = "found: " .. after })
  end
  for _, name in ipairs(sup.dependents[fact.group] or {}) do
    for _, i in ipairs(sup.by_service[name] or {}) do sup.touched[i] = true end
  end
end

--- Ends all followers.
function M.close(sup)
  for _, group in pairs(sup.groups) do
    if group.follower then group.follower:cancel() end
  end
end

return M
