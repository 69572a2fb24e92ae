-- A stack of real processes, run by the real program: up, status, wait, stop, start, restart, logs,
-- events, services, discover, check, down.
local core = require "orrery.core"
local support = require "support"

local WEB = [[
return { name = "STACK", stateDir = "DIR/state", services = {
  web = { exec = { "python3", "-u", "-m", "http.server", "${port}", "--bind", "${bind}" },
    port = "auto", healthEndpoint = "/", stop = { timeout = 5 },
    env = { PYTHONDONTWRITEBYTECODE = "1" } },
  ticker = { exec = { "sh", "-c", "echo ticker is here; exec sleep 600" }, dependencies = { "web" },
    stop = { timeout = 5 } },
  MORE
} }]]

local counter = 0

--- A stack in its own folder, and the function that runs `orrery -f` on it.
local function new_stack(more)
  counter = counter + 1
  local dir = support.tmp()
  local name = ("cli-%d-%d"):format(core.process.pid(), counter)
  local text = WEB:gsub("STACK", name):gsub("DIR", dir):gsub("MORE", more or "")
  support.write(dir .. "/stack.lua", text)
  local function orrery(...)
    local arguments = { "-f", dir, ... }
    arguments.timeout = 60
    return support.orrery(arguments)
  end
  return orrery, dir, name
end

local function state_of(orrery)
  local _, out, err = orrery("status", "--json")
  local state = core.json.decode(out)
  assert(state, err)
  local by_name = {}
  for _, service in ipairs(state.services) do by_name[service.name] = service end
  return state, by_name
end

--- Runs `body` with the stack up, and takes it down whatever happens.
local function with_stack(more, body)
  local orrery, dir, name = new_stack(more)
  local code, out, err = orrery("up", "-d")
  local ok, problem = xpcall(body, debug.traceback, orrery, code, out .. err, dir, name)
  local down_code, _, down_err = orrery("down")
  if not ok then error(problem, 0) end
  assert.equal(0, down_code, down_err)
end

describe("up -d", function()
  it("returns with everything healthy, a table, and what to do next", function()
    with_stack(nil, function(orrery, code, text, dir, name)
      assert.equal(0, code, text)
      assert.truthy(text:find("web%s+running%s+passing%s+%d+"), text)
      assert.truthy(text:find("ticker%s+running"), text)
      for _, verb in ipairs { "status", "logs -f", "down" } do
        assert.truthy(text:find(("-f %s %s"):format(dir, verb), 1, true), text)
      end
      local state, services = state_of(orrery)
      assert.equal(name, state.stack)
      assert.is_true(support.procfs.alive(state.agent.pid))
      local web = services.web.instances[1]
      assert.equal("running", web.state)
      assert.equal("passing", web.health)
      assert.is_true(support.procfs.alive(web.pid))
      local answer = assert(core.http.get(("http://127.0.0.1:%d/"):format(web.port)))
      assert.equal(200, answer.status)
    end)
  end)

  it("exits 1 and says which service failed, why, and what it said last", function()
    with_stack([[broken = { exec = { "sh", "-c", "echo no luck today; exit 3" },
      restart = { policy = "never" } },]], function(orrery, code, text)
      assert.equal(1, code, text)
      assert.truthy(text:find("broken is failed", 1, true), text)
      assert.truthy(text:find("exited with code 3", 1, true), text)
      assert.truthy(text:find("no luck today", 1, true), text)
      assert.equal(1, (orrery("status")))
      assert.equal(0, (orrery("status", "web")))
      assert.equal(1, (orrery("wait", "broken", "--timeout", "5")))
    end)
  end)

  it("tells what a service said last, in whatever character set", function()
    with_stack([[broken = { exec = { "sh", "-c", "printf 'caf\\351'; exit 3" },
      restart = { policy = "never" } },]], function(orrery, code, text)
      assert.equal(1, code, text)
      local _, services = state_of(orrery)
      assert.truthy(services.broken.instances[1].exit:find("caf\u{fffd}", 1, true))
      assert.equal(0, (orrery("events")))
    end)
  end)

  it("of a stack that runs says so, with the agent's pid, and changes nothing", function()
    with_stack(nil, function(orrery)
      local state, before = state_of(orrery)
      local code, _, err = orrery("up", "-d")
      assert.equal(0, code, err)
      assert.truthy(err:find("already runs", 1, true), err)
      assert.truthy(err:find(tostring(state.agent.pid), 1, true), err)
      local _, after = state_of(orrery)
      assert.equal(before.web.instances[1].pid, after.web.instances[1].pid)
    end)
  end)

  it("starts only the services named, with what they need", function()
    local orrery = new_stack()
    local code, _, err = orrery("up", "-d", "web")
    local _, services = state_of(orrery)
    orrery("down")
    assert.equal(0, code, err)
    assert.equal("running", services.web.state)
    assert.equal("stopped", services.ticker.state)
  end)

  it("names the process that has taken a port", function()
    with_stack(nil, function(first)
      local _, services = state_of(first)
      local taken = services.web.instances[1]
      local orrery = new_stack()
      local code, out, err = orrery("up", "-d", "--set", "services.web.port=" .. taken.port,
        "--set", "services.ticker.enable=false")
      orrery("down")
      assert.equal(1, code, err)
      assert.truthy(out:find("foreign: port " .. taken.port, 1, true), out)
      assert.truthy(err:find(("(pid %d)"):format(taken.pid), 1, true), err)
    end)
  end)

  it("says why when the state folder cannot be made", function()
    local dir = support.tmp()
    support.write(dir .. "/file", "")
    support.write(dir .. "/stack.lua", ([[return { stateDir = "%s/file/state",
      services = { a = { exec = { "sleep", "60" } } } }]]):format(dir))
    local code, _, err = support.orrery { "-f", dir, "up", "-d" }
    assert.equal(1, code)
    assert.truthy(err:find(dir .. "/file", 1, true), err)
    assert.truthy(err:find("stateDir", 1, true), err)
  end)
end)

describe("up in the foreground", function()
  it("shows progress and the table, and Ctrl-C stops everything with exit 0", function()
    local orrery, dir = new_stack()
    local log = dir .. "/up.log"
    local up = assert(core.process.spawn { argv = { support.binary(), "-f", dir, "up" },
      env = support.env(), cwd = dir, instance = "spec/up", log = { path = log } })
    local code, _, err = 4, nil, nil
    support.wait_until(function()
      code, _, err = orrery("wait", "ticker", "--for", "running", "--timeout", "20")
      return code ~= 4
    end, 20, "the agent to answer")
    assert.equal(0, code, err)
    support.wait_until(function()
      return support.exists(log) and support.read(log):find("Follow logs", 1, true)
    end, 10, "the lines to read next")
    local _, services = state_of(orrery)
    up:signal("INT")
    assert.same({ code = 0 }, up:wait(50))
    assert.is_true(support.wait_gone(services.web.instances[1].pid))
    local text = support.read(log)
    assert.truthy(text:find("web@%S+%s+waiting → starting"), text)
    assert.truthy(text:find("Ctrl-C", 1, true), text)
    assert.truthy(text:find("is down", 1, true), text)
  end)
end)

describe("a running stack", function()
  it("is stopped, started and restarted service by service", function()
    with_stack(nil, function(orrery)
      local _, before = state_of(orrery)
      local code, out, err = orrery("stop", "web")
      assert.equal(0, code, err)
      assert.truthy(out:find("ticker%s+stopped"), out)
      assert.is_false(support.procfs.alive(before.web.instances[1].pid))
      assert.equal(0, (orrery("wait", "web", "--for", "stopped")))

      code, out, err = orrery("start", "ticker")
      assert.equal(0, code, err)
      assert.truthy(out:find("web%s+running%s+passing"), out)
      local _, started = state_of(orrery)

      code, _, err = orrery("restart", "web")
      assert.equal(0, code, err)
      local _, after = state_of(orrery)
      assert.are_not.equal(started.web.instances[1].pid, after.web.instances[1].pid)
      assert.equal(started.ticker.instances[1].pid, after.ticker.instances[1].pid)
    end)
  end)

  it("is waited for, with a limit", function()
    with_stack([[never = { exec = { "sleep", "600" }, dependencyTimeout = 2, stop = { timeout = 5 },
      healthCheck = { strategy = "command", command = { "false" }, interval = 1 } },]],
      function(orrery, code, text)
        assert.equal(1, code, text)
        assert.truthy(text:find("never is running", 1, true), text)
        assert.equal(0, (orrery("wait", "ticker")))
        assert.equal(0, (orrery("wait", "--deps", "ticker")))
        assert.equal(0, (orrery("wait", "never", "--for", "running")))
        local late, _, err = orrery("wait", "never", "--timeout", "0.3")
        assert.equal(124, late)
        assert.truthy(err:find("never@", 1, true), err)
      end)
  end)

  it("shows what its services wrote and what happened", function()
    with_stack(nil, function(orrery)
      local _, out = orrery("logs", "ticker")
      assert.truthy(out:find("ticker is here", 1, true), out)
      local _, json = orrery("logs", "--json", "-n", "1", "ticker")
      assert.equal("ticker is here", core.json.decode(json).text)
      local _, events = orrery("events")
      assert.truthy(events:find("ticker@%S+%s+starting → running"), events)
      local _, lines = orrery("events", "--json")
      local first = core.json.decode(lines:match("[^\n]+"))
      assert.equal(1, first.seq)
      local _, rest = orrery("events", "--json", "--since", "1")
      assert.equal(2, core.json.decode(rest:match("[^\n]+")).seq)
      local gone = orrery("events", "--since", "1000000")
      assert.equal(1, gone)
    end)
  end)

  it("tells every moment in one form", function()
    with_stack(nil, function(orrery)
      local began = core.time.now() - 600
      local function is_moment(text, what)
        local moment = support.moment(text)
        assert.is_true(moment > began and moment < core.time.now() + 1, what .. ": " .. text)
      end
      local function decoded(...)
        local _, out = orrery(...)
        return core.json.decode(out:match("^%b{}"))
      end
      is_moment(decoded("logs", "--json", "-n", "1", "ticker").at, "logs")
      is_moment(decoded("events", "--json").at, "events")
      local state = decoded("status", "--json")
      is_moment(state.agent.startedAt, "the agent")
      is_moment(state.services[1].instances[1].since, "an instance")
      is_moment(decoded("why", "--json", "ticker").instances[1].since, "why")
      is_moment(decoded("start", "--json", "ticker").agent.startedAt, "start")
      is_moment(decoded("reload", "--json").state.agent.startedAt, "reload")
    end)
  end)

  it("goes on telling with logs -f and events -f", function()
    with_stack(nil, function(orrery, _, _, dir)
      local function follow(name, ...)
        local log = ("%s/%s.out"):format(dir, name)
        return assert(core.process.spawn { argv = { support.binary(), "-f", dir, name, "-f", ... },
          env = support.env(), cwd = dir, instance = "spec/" .. name, log = { path = log } }), log
      end
      local function told(log, text, times)
        support.wait_until(function()
          return support.exists(log) and select(2, support.read(log):gsub(text, "")) == times
        end, 10, ("%q %d times in %s"):format(text, times, log))
      end
      local logs, logs_file = follow("logs", "ticker")
      local events, events_file = follow("events")
      told(logs_file, "ticker is here", 1)
      assert.equal(0, (orrery("restart", "ticker")))
      told(logs_file, "ticker is here", 2)
      told(events_file, "restart was asked for", 1)
      assert.equal(0, (orrery("down")))
      assert.same({ code = 0 }, events:wait(50))
      logs:signal("INT")
      assert.same({ signal = "INT" }, logs:wait(50))
    end)
  end)

  it("is found through discovery, and its checks can be run by hand", function()
    with_stack(nil, function(orrery)
      local _, services = state_of(orrery)
      local records
      support.wait_until(function()
        local _, out = orrery("discover", "web", "--json")
        records = core.json.decode(out)
        return #records == 1
      end, 10, "the record of web")
      assert.equal(services.web.instances[1].port, records[1].port)
      local _, out = orrery("services")
      assert.truthy(out:find("web@", 1, true), out)
      assert.equal(1, (orrery("discover", "nothing")))

      local code, json, err = orrery("check", "--json")
      assert.equal(0, code, err)
      local results = core.json.decode(json)
      assert.equal("web", results[1].service)
      assert.is_true(results[1].ok)
      assert.is_number(results[1].latency)
      orrery("stop", "web")
      code, out = orrery("check", "web")
      assert.equal(1, code)
      assert.truthy(out:find("FAIL", 1, true), out)
    end)
  end)
end)

describe("without an agent", function()
  it("the commands that need one say so, where they looked, and what to do", function()
    local orrery, dir = new_stack()
    for _, arguments in ipairs { { "status" }, { "events" }, { "wait", "web" }, { "stop", "web" },
      { "start", "web" }, { "restart", "web" } } do
      local code, _, err = orrery(table.unpack(arguments))
      assert.equal(4, code, err)
      assert.truthy(err:find(dir .. "/state/run/api.sock", 1, true), err)
      assert.truthy(err:find(("-f %s up -d"):format(dir), 1, true), err)
    end
    assert.same({ "stack.lua" }, core.file.list(dir))
  end)

  it("down says so and is content", function()
    local orrery = new_stack()
    local code, out = orrery("down")
    assert.equal(0, code)
    assert.truthy(out:find("is not running", 1, true))
    assert.equal(0, (orrery("wait", "web", "--for", "stopped")))
  end)

  it("a socket that a crash left behind is as none", function()
    local orrery, dir = new_stack()
    assert.equal(0, (orrery("up", "-d")))
    local state = state_of(orrery)
    support.run { "kill", "-KILL", tostring(state.agent.pid) }
    support.wait_gone(state.agent.pid)
    assert.is_true(support.exists(dir .. "/state/run/api.sock"))
    assert.equal(4, (orrery("status")))
    local code, _, err = orrery("up", "-d")
    assert.equal(0, code, err)
    assert.equal(0, (orrery("down")))
  end)
end)
