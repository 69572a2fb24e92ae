-- The supervisor over a driver of this spec, which starts nothing and keeps a list of what it was
-- asked for.
local core = require "orrery.core"
local events = require "orrery.events"
local plan = require "orrery.plan"
local stack = require "orrery.stack"
local supervisor = require "orrery.supervisor"
local support = require "support"

local STACK = [[return { services = { one = { exec = { "one" } },
  two = { exec = { "two" }, dependencies = { "one" } },
  job = { exec = { "job" }, oneshot = true },
  three = { exec = { "three" }, dependencies = { "two", "job" } } } }]]

--- A supervisor whose driver says at once what a process would say; `break_at` is the service
-- whose start raises.
local function new(break_at)
  local loaded = assert(stack.load(support.write(support.tmp() .. "/stack.lua", STACK)))
  local asked, driver = {}, {}
  function driver.start(_, i, tell)
    asked[#asked + 1] = "start " .. i.service.name
    if i.service.name == break_at then error("a fault in the driver") end
    driver["tell " .. i.service.name] = tell
    tell({ kind = "started", pid = 1 })
    if i.oneshot then tell({ kind = "exited", ok = true, code = 0, message = "done" }) end
  end
  function driver.stop(i, tell)
    asked[#asked + 1] = "stop " .. i.service.name
    tell({ kind = "exited", ok = true, code = 0, message = "stopped" })
  end
  function driver.halt(i) asked[#asked + 1] = "halt " .. i.service.name end
  local sup = supervisor.new({ stack = loaded, plan = assert(plan.build(loaded)), driver = driver,
    log = events.new() })
  return sup, core.task.spawn(supervisor.run, sup), asked, driver
end

local function count(list, wanted)
  local found = 0
  for _, item in ipairs(list) do found = found + (item == wanted and 1 or 0) end
  return found
end

local function states(sup)
  local found = {}
  for _, i in ipairs(sup.instances) do found[i.service.name] = i.state end
  return found
end

describe("the supervisor", function()
  it("starts what is needed, and stops dependents first", function()
    local sup, running, asked = new()
    supervisor.command(sup, "up")
    support.wait_until(function() return states(sup).three == "running" end)
    supervisor.command(sup, "down")
    assert.is_true(running:join(50))
    assert.same({ "stop three", "stop two", "stop one" }, { table.unpack(asked, #asked - 2) })
    assert.same({ nil, "the stack has stopped", "closed" }, { supervisor.command(sup, "down") })
  end)

  it("does what is done once, unless it is named", function()
    local sup, running, asked = new()
    supervisor.command(sup, "up")
    support.wait_until(function() return states(sup).three == "running" end)
    supervisor.command(sup, "start", { "three" })
    supervisor.command(sup, "start", { "one" })
    assert.equal(1, count(asked, "start job"))
    supervisor.command(sup, "start", { "job" })
    support.wait_until(function() return count(asked, "start job") == 2 end)
    supervisor.command(sup, "down")
    assert.is_true(running:join(50))
  end)

  it("means every service where a command names none", function()
    local sup, running = new()
    supervisor.command(sup, "up")
    support.wait_until(function() return states(sup).three == "running" end)
    assert.equal(4, #supervisor.command(sup, "stop"))
    support.wait_until(function() return states(sup).one == "stopped" end)
    assert.same({ one = "stopped", two = "stopped", three = "stopped", job = "stopped" },
      states(sup))
    supervisor.command(sup, "down")
    assert.is_true(running:join(50))
  end)

  it("stops everything, dependents first, should it fail itself; and no command waits", function()
    local sup, running, asked = new("three")
    supervisor.command(sup, "up")
    local ok, message = running:join(50)
    assert.is_nil(ok)
    assert.matches("a fault in the driver", message)
    local halted = {}
    for _, what in ipairs(asked) do
      if what:find("^halt") then halted[#halted + 1] = what end
    end
    assert.equal(4, #halted)
    assert.equal("halt three", halted[1])
    assert.same({ nil, "the stack has stopped", "closed" }, { supervisor.command(sup, "up") })
  end)

  it("lives with a check that cannot be made: it fails, and says why", function()
    local sup, running, _, driver = new()
    supervisor.command(sup, "up")
    support.wait_until(function() return states(sup).three == "running" end)
    local one = sup.by_service.one[1]
    driver["tell one"]({ kind = "started", pid = 1,
      checks = { ready = { strategy = "tcp", port = 99999, role = "ready" } } })
    support.wait_until(function() return one.health == "failing" end)
    assert.matches("bad check: port", one.health_message)
    supervisor.command(sup, "down")
    assert.is_true(running:join(50))
  end)
end)
