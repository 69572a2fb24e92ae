-- Health checks written in Lua: checks/<name>.lua, and run = function in a Lua stack.
local core = require "orrery.core"
local support = require "support"
local agents = require "support.agents"

local SLEEP = "exec sleep 600"

local function with_check(name, text, services, body)
  local dir = agents.stack(services)
  assert(core.file.mkdir(dir .. "/checks", "0755"))
  support.write(("%s/checks/%s.lua"):format(dir, name), text)
  local agent = agents.up(dir)
  local ok, problem = xpcall(body, debug.traceback, agent)
  agent:down()
  if not ok then error(problem .. "\n" .. agent:text("up.log"), 0) end
end

local function has(text, part) assert.truthy(text:find(part, 1, true), part .. " in:\n" .. text) end

describe("a check in Lua", function()
  it("of checks/ waits through ctx, gets its options, and follows rise and fall", function()
    with_check("row", [[return { options = { wanted = "ok", file = "" },
      run = function(ctx, instance, options)
        ctx.time.sleep(0.01)
        local result = ctx.process.run { "cat", options.file }
        if result.stdout == options.wanted then return true end
        return nil, instance.id .. " says '" .. result.stdout .. "'"
      end }]], agents.service("db", "printf ok > DIR/said; exec sleep 600",
      "healthCheck = { strategy = 'row', options = { file = 'DIR/said' }, interval = 0.1, "
      .. "fall = 2 }")
      .. agents.service("app", SLEEP, "dependencies = { 'db' }"), function(agent)
      local up = agent:reach(function(i) return i.app and i.app.state == "running" end, "app")
      assert.equal("passing", up.db.health)
      assert.equal(0, (agent:orrery("check", "db")))
      support.write(agent.dir .. "/said", "no")
      local sick = agent:reach(function(i) return i.db.health == "failing" end, "db to fail")
      has(sick.db.message, "says 'no'")
      assert.equal(up.db.pid, sick.db.pid)
      local code, out = agent:orrery("check", "db")
      assert.equal(1, code)
      has(out, "says 'no'")
    end)
  end)

  it("that raises names its file and line, and takes nothing else down", function()
    with_check("broken", "return { run = function(ctx)\n  return ctx.nothing.here\nend }",
      agents.service("bad", SLEEP, "healthCheck = { strategy = 'broken', interval = 0.1, "
      .. "startPeriod = 0 }") .. agents.service("good", SLEEP), function(agent)
      local seen = agent:reach(function(i) return i.bad and i.bad.health == "failing" end, "bad")
      has(seen.bad.message, agent.dir .. "/checks/broken.lua:2:")
      assert.equal("running", seen.good.state)
    end)
  end)

  it("written in the stack ends at its deadline, and cannot run away", function()
    agents.with(agents.service("slow", SLEEP, "healthCheck = { interval = 0.1, timeout = 0.2, "
      .. "startPeriod = 0, fall = 1, run = function(ctx) ctx.time.sleep(60) end }")
      .. agents.service("busy", SLEEP, "healthCheck = { interval = 0.1, startPeriod = 0, fall = 1, "
      .. "run = function() while true do end end }"), function(agent)
      local seen = agent:reach(function(i)
        return i.slow.health == "failing" and i.busy.health == "failing"
      end, "both to fail")
      has(seen.slow.message, "still running after 0.2 s")
      has(seen.busy.message, "without waiting")
    end)
  end)

  it("that there is not, or whose file is wrong, is refused at load", function()
    local dir = agents.stack(agents.service("a", SLEEP, "healthCheck = { strategy = 'htpp' }"))
    local code, _, err = support.orrery { "-f", dir, "validate" }
    assert.equal(3, code)
    has(err, 'healthChecks.ready.strategy: "htpp" is not one of http, tcp, command, file, systemd')
    has(err, 'did you mean "http"?')
    assert(core.file.mkdir(dir .. "/checks", "0755"))
    support.write(dir .. "/checks/htpp.lua", "return {\n  run = = 1 }")
    code, _, err = support.orrery { "-f", dir, "validate" }
    assert.equal(3, code)
    has(err, "/checks/htpp.lua:2:")
  end)
end)
