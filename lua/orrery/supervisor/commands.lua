--- commands -- what a command changes: what is desired, and what is to be done again. Each returns
-- the names of the services that it concerns.
local core = require "orrery.core"
local edges = require "orrery.edges"
local events = require "orrery.events"
local groups = require "orrery.supervisor.groups"
local reload = require "orrery.supervisor.reload"
local writer = require "orrery.supervisor.writer"

local commands = {}

--- The services a command names; all if it names none.
local function named(sup, names) return #names > 0 and names or sup.plan.order end

local function each(sup, names, act)
  for _, name in ipairs(names) do
    for _, i in ipairs(sup.by_service[name] or {}) do
      act(i)
      writer.touch_around(sup, i)
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
    for _, known in pairs(i.files) do known.bad = nil end
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
function commands.reload(sup, change)
  local names = reload.apply(sup, change, writer.teller)
  groups.update(sup)
  return names
end

return commands
