-- What each type of dependency means before a start and while its dependent runs: real processes
-- whose health is a file.
local core = require "orrery.core"
local support = require "support"
local agents = require "support.agents"

local SLEEP = "echo $$ >> DIR/%s.pids; exec sleep 600"

--- A service that is healthy while the file <name>-ok is there.
local function healthy_by_file(name, more)
  return agents.service(name, SLEEP:format(name), ([[healthCheck = { strategy = 'file',
    path = 'DIR/%s-ok', interval = 0.1, fall = 1, backoff = 'constant' }, %s]]):format(name,
    more or ""))
end

local function plain(name, more) return agents.service(name, SLEEP:format(name), more) end

local function needs(name, kind, more)
  return ("dependencies = { { name = %q, type = %q } }, %s"):format(name, kind, more or "")
end

local function flag(instance, name)
  for _, one in ipairs(instance.flags) do if one == name then return true end end
  return false
end

local function events(agent, kind, service)
  local _, out = agent:orrery("events", "--json")
  local found = {}
  for line in out:gmatch("[^\n]+") do
    local event = core.json.decode(line)
    if event.type == kind and event.service == service then found[#found + 1] = event end
  end
  return found
end

local function put(agent, name) support.write(agent.dir .. "/" .. name .. "-ok", "") end
local function take(agent, name) support.remove_tree(agent.dir .. "/" .. name .. "-ok") end

local function runs(agent, ...)
  local names = { ... }
  return agent:reach(function(i)
    for _, name in ipairs(names) do if i[name].state ~= "running" then return false end end
    return true
  end, table.concat(names, ", ") .. " to run")
end

describe("a required dependency", function()
  it("blocks at the timeout, up -d exits 1, and the dependent still starts with it", function()
    local dir = agents.stack(healthy_by_file("db")
      .. plain("web", needs("db", "required", "dependencyTimeout = 0.5")), nil)
    local code, out, err = support.orrery { "-f", dir, "up", "-d", "--set",
      "services.db.dependencyTimeout=1", timeout = 60 }
    local ok, problem = pcall(function()
      assert.equal(1, code, out .. err)
      assert.truthy((out .. err):find("web is blocked", 1, true), out .. err)
      support.write(dir .. "/db-ok", "")
      assert.equal(0, (support.orrery { "-f", dir, "wait", "web", "--timeout", "20" }))
    end)
    support.orrery { "-f", dir, "down" }
    if not ok then error(problem, 0) end
  end)

  it("that goes down impairs its dependent, which keeps running", function()
    agents.with(healthy_by_file("db") .. plain("web", needs("db", "required")), function(agent)
      put(agent, "db")
      local before = runs(agent, "db", "web").web.pid
      take(agent, "db")
      local web = agent:reach(function(i) return flag(i.web, "impaired") end, "impaired").web
      assert.same({ "running", before }, { web.state, web.pid })
      put(agent, "db")
      web = agent:reach(function(i) return not flag(i.web, "impaired") end, "no longer so").web
      assert.equal(before, web.pid)
    end)
  end)

  it("restarts or stops its dependent if onDependencyFailure says so", function()
    agents.with(healthy_by_file("db")
      .. plain("again", needs("db", "required", "onDependencyFailure = 'restart'"))
      .. plain("off", needs("db", "required", "onDependencyFailure = 'stop'")), function(agent)
      put(agent, "db")
      runs(agent, "db", "again", "off")
      take(agent, "db")
      agent:reach(function(i)
        return i.again.state == "waiting" and i.off.state == "stopped"
      end, "both to stop")
      put(agent, "db")
      runs(agent, "db", "again")
      assert.equal(2, #agent:pids("again.pids", 2))
      local _, out = agent:orrery("why", "off")
      assert.truthy(out:find("is kept stopped: db went down", 1, true), out)
      assert.equal(1, #agent:pids("off.pids", 1))
    end)
  end)

  it("is not missed for a planned restart", function()
    agents.with(healthy_by_file("db")
      .. plain("again", needs("db", "required", "onDependencyFailure = 'restart'"))
      .. plain("off", needs("db", "required", "onDependencyFailure = 'stop'")), function(agent)
      put(agent, "db")
      local before = runs(agent, "db", "again", "off")
      assert.equal(0, (agent:orrery("restart", "db")))
      local after = runs(agent, "db", "again", "off")
      assert.are_not.equal(before.db.pid, after.db.pid)
      assert.same({ before.again.pid, before.off.pid }, { after.again.pid, after.off.pid })
    end)
  end)

  it("on a oneshot is met by its success only", function()
    agents.with(agents.service("setup", "[ -e DIR/go ] || exit 3",
        "oneshot = true, restart = { backoff = { 0.1, 0.2 }, max = 1000 }")
      .. plain("web", needs("setup", "required")), function(agent)
      agent:reach(function(i) return i.setup.restarts > 1 and i.web.state == "waiting" end,
        "setup to fail")
      assert.equal("", agent:text("web.pids"))
      support.write(agent.dir .. "/go", "")
      local i = runs(agent, "web")
      assert.equal("done", i.setup.state)
    end)
  end)

  it("on an external service is met while that answers", function()
    local port = support.free_port()
    local server
    local function serve()
      server = assert(core.process.spawn { argv = { "python3", "-m", "http.server",
        tostring(port), "--bind", "127.0.0.1" }, cwd = support.tmp(), instance = "spec/server" })
    end
    local ok, problem = pcall(agents.with, ([[store = { external = true,
      url = "http://127.0.0.1:%d", healthCheck = { strategy = "http", endpoint = "/",
      interval = 0.1, fall = 1 } }, ]]):format(port) .. plain("web", needs("store", "required")),
    function(agent)
      agent:reach(function(i) return i.web.state == "waiting" end, "web to wait")
      serve()
      runs(agent, "web", "store")
      server:kill()
      server:wait(50)
      agent:reach(function(i) return flag(i.web, "impaired") end, "web to be impaired")
      assert.equal(1, #agent:pids("web.pids", 1))
    end)
    if server then server:kill() server:wait(50) end
    if not ok then error(problem, 0) end
  end)
end)

describe("an optional dependency", function()
  it("is waited for, then done without: degraded until it appears, and files follow", function()
    agents.with(agents.service("setup", "[ -e DIR/go ] || exit 3; echo key=k1 > $ORRERY_OUTPUT",
        "oneshot = true, restart = { backoff = { 0.1, 0.2 }, max = 1000 }")
      .. plain("web", needs("setup", "optional", [[dependencyTimeout = 0.5,
        config = { ["web.env"] = { reload = "none",
          template = "KEY=${service.setup.key | later(\"none\")}\n" } }]])), function(agent)
      local web = runs(agent, "web").web
      assert.is_true(flag(web, "degraded"))
      assert.matches("^setup is", events(agent, "flag", "web")[1].reason)
      support.write(agent.dir .. "/go", "")
      local after = agent:reach(function(i) return not flag(i.web, "degraded") end, "whole").web
      assert.equal(web.pid, after.pid)
      local file = support.wait_until(function()
        return (events(agent, "file", "web")[1] or {}).message
      end, 20, "the file to be written")
      assert.equal("KEY=k1\n", support.read(file))
    end)
  end)

  it("in a cycle is never waited for", function()
    agents.with(healthy_by_file("a", needs("b", "optional")) .. healthy_by_file("b",
      needs("a", "required")), function(agent)
      agent:pids("a.pids", 1)
      put(agent, "a")
      put(agent, "b")
      local i = runs(agent, "a", "b")
      assert.is_false(flag(i.a, "impaired"))
    end)
  end)
end)

describe("a soft dependency", function()
  it("is never waited for, but keeps the order", function()
    agents.with(agents.service("db", "exit 3", "restart = { policy = 'never' }")
      .. plain("web", needs("db", "soft")), function(agent)
      local i, state = runs(agent, "web")
      assert.same({}, i.web.flags)
      local waves = {}
      for _, one in ipairs(state.services) do waves[one.name] = one.wave end
      assert.same({ db = 1, web = 2 }, waves)
    end)
  end)
end)

describe("a circular dependency", function()
  local function pair(more)
    return healthy_by_file("a", needs("b", "circular", more))
      .. healthy_by_file("b", needs("a", "circular", more))
  end

  it("starts both sides together; each is whole when it has seen the other", function()
    agents.with(pair(), function(agent)
      agent:pids("a.pids", 1)
      agent:pids("b.pids", 1)
      put(agent, "a")
      local i = runs(agent, "a")
      assert.same({ "running", {}, "starting" }, { i.a.state, i.a.flags, i.b.state })
      local _, out = agent:orrery("why", "a")
      assert.truthy(out:find("the other side of a circular dependency is not healthy yet", 1, true),
        out)
      put(agent, "b")
      i = runs(agent, "a", "b")
      assert.same({ {}, {} }, { i.a.flags, i.b.flags })
      assert.same({}, events(agent, "flag", "a"))
    end)
  end)

  it("impairs only after the budget, and not for good", function()
    agents.with(healthy_by_file("a", "dependencies = { { name = 'b', type = 'circular', "
      .. "timeout = 1.5 } }") .. healthy_by_file("b", needs("a", "circular")), function(agent)
      put(agent, "a")
      agent:reach(function(i) return flag(i.a, "impaired") end, "a to be impaired")
      local began, impaired
      for _, event in ipairs(events(agent, "state", "a")) do
        if event.to == "starting" then began = support.moment(event.at) end
      end
      for _, event in ipairs(events(agent, "flag", "a")) do
        impaired = impaired or support.moment(event.at)
      end
      assert.is_true(impaired - began >= 1.4, impaired - began)
      put(agent, "b")
      agent:reach(function(i) return not flag(i.a, "impaired") end, "a to be whole")
    end)
  end)

  it("is as a required one once it was seen: a loss impairs at once", function()
    agents.with(pair(), function(agent)
      put(agent, "a")
      put(agent, "b")
      runs(agent, "a", "b")
      take(agent, "b")
      local i = agent:reach(function(found) return flag(found.a, "impaired") end, "a impaired")
      assert.equal("running", i.a.state)
    end)
  end)

  it("restarts for a loss once, and both settle", function()
    agents.with(pair("onDependencyFailure = 'restart', restart = { backoff = { 0.1, 0.1 } }"),
    function(agent)
      put(agent, "a")
      put(agent, "b")
      local before = runs(agent, "a", "b")
      agent:signal("KILL", before.b.pid)
      agent:pids("a.pids", 2)
      agent:pids("b.pids", 2)
      runs(agent, "a", "b")
      take(agent, "b") -- fails, but runs
      agent:pids("a.pids", 3)
      agent:pids("b.pids", 3)
      put(agent, "b")
      runs(agent, "a", "b")
      core.time.sleep(1.5) -- would be enough for many rounds
      assert.same({ 3, 3 }, { #agent:pids("a.pids", 3), #agent:pids("b.pids", 3) })
      local i = runs(agent, "a", "b")
      assert.same({ {}, {} }, { i.a.flags, i.b.flags })
    end)
  end)

  it("is followed by a stop where that is asked for", function()
    agents.with(healthy_by_file("a", needs("b", "circular", "onDependencyFailure = 'stop'"))
      .. healthy_by_file("b", needs("a", "circular")), function(agent)
      put(agent, "a")
      put(agent, "b")
      runs(agent, "a", "b")
      take(agent, "b")
      local i = agent:reach(function(found) return found.a.state == "stopped" end, "a to stop")
      assert.equal("running", i.b.state)
      agent:reach(function(found) return flag(found.b, "impaired") end, "b to be impaired")
    end)
  end)
end)

describe("a live check", function()
  local LIVE = [[healthChecks = { live = { strategy = 'file', path = 'DIR/live-ok',
    interval = 0.2, fall = 2, startPeriod = 0 } }]]

  it("restarts nothing while a required dependency is down, nor for what it said then", function()
    agents.with(healthy_by_file("db") .. plain("web", needs("db", "required", LIVE)),
    function(agent)
      put(agent, "db")
      put(agent, "live")
      runs(agent, "db", "web")
      take(agent, "db")
      agent:reach(function(i) return flag(i.web, "impaired") end, "web to be impaired")
      take(agent, "live")
      agent:reach(function(i) return i.web.checks.live.state == "failing" end, "live to fail")
      put(agent, "live")
      put(agent, "db")
      agent:reach(function(i) return i.web.checks.live.state == "passing" and #i.web.flags == 0 end,
        "web to be well")
      assert.equal(1, #agent:pids("web.pids", 1))
      take(agent, "db")
      agent:reach(function(i) return flag(i.web, "impaired") end, "web to be impaired")
      take(agent, "live")
      agent:reach(function(i) return i.web.checks.live.state == "failing" end, "live to fail")
      put(agent, "db")
      agent:pids("web.pids", 2) -- it fails still, now for a reason of its own
    end)
  end)
end)

describe("the same check of several services", function()
  it("runs once, and is the health of each", function()
    local check = [[healthCheck = { strategy = 'command', interval = 0.3, fall = 1,
      command = { 'sh', '-c', 'echo >> DIR/tries; [ -e DIR/all-ok ]' } }]]
    agents.with(plain("a", check) .. plain("b", check) .. plain("c", check), function(agent)
      put(agent, "all")
      runs(agent, "a", "b", "c")
      local function tries() return select(2, agent:text("tries"):gsub("\n", "")) end
      local from, began = tries(), core.time.monotonic()
      support.wait_until(function() return tries() >= from + 8 end, 30, "eight tries")
      assert.is_true(core.time.monotonic() - began > 1.3) -- each for itself: 0.9 s
      take(agent, "all")
      agent:reach(function(i)
        return i.a.health == "failing" and i.b.health == "failing" and i.c.health == "failing"
      end, "all to fail")
    end)
  end)
end)

describe("enableHealthChecks = false", function()
  it("keeps the order, and waits for nothing but running", function()
    agents.with(healthy_by_file("db") .. plain("web", needs("db", "required")), function(agent)
      local i = runs(agent, "db", "web")
      assert.same({ {}, {} }, { i.web.flags, i.db.flags })
      local order = {}
      for line in agent:text("up.log"):gmatch("(%w+)@%S+%s+waiting → starting") do
        order[#order + 1] = line
      end
      assert.same({ "db", "web" }, order)
    end, "coordination = { enableHealthChecks = false },")
  end)
end)
