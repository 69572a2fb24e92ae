-- `orrery why`: what a service waits for, in every state, with real services.
local core = require "orrery.core"
local support = require "support"
local agents = require "support.agents"

local READY = "healthCheck = { strategy = 'file', path = 'DIR/%s', interval = 0.2, fall = 1 }"

local function ready(file, more) return READY:format(file) .. (more and ", " .. more or "") end

local function needs(name, more)
  return ("dependencies = { { name = %q, type = 'required' } }, %s"):format(name, more or "")
end

local function why(agent, name)
  local code, out, err = agent:orrery("why", name, "--json")
  assert(code <= 1, err)
  local answer = core.json.decode(out)
  return answer.instances[1], code, answer
end

local function text_of(agent, name)
  local _, out = agent:orrery("why", name)
  return out
end

local function has(text, part) assert.truthy(text:find(part, 1, true), part .. " in:\n" .. text) end

describe("why", function()
  it("follows what a service waits for to the root cause, and when it is next tried", function()
    agents.with(agents.service("ledger", "echo no disk; exit 7",
        ready("never", "restart = { backoff = { 30, 60 } }"))
      .. agents.service("host", "exec sleep 600", needs "ledger")
      .. agents.service("feeds", "exec sleep 600", needs "host"), function(agent)
      agent:reach(function(i) return i.ledger.state == "backoff" and i.feeds.state == "waiting" end,
        "ledger to be in backoff")
      local v, code = why(agent, "feeds")
      assert.equal(1, code)
      assert.equal("waiting", v.state)
      assert.equal("host", v.waits[1].service)
      assert.is_true(v.waits[1].holds and v.waits[1].left > 0)
      assert.same({ "host", "ledger" }, { v.chain[1].service, v.chain[2].service })
      local root = v.chain[2]
      has(root.text, "exited with code 7; its last line: no disk")
      assert.is_true(root.nextTry > 5 and root.nextTry <= 60)
      has(root.unblock, "next try in ")
      has(text_of(agent, "feeds"), "root cause: ledger@")
    end)
  end)

  it("has the last words of the check that a start or a dependent waits for", function()
    agents.with(agents.service("db", "exec sleep 600", ready "db-ready")
      .. agents.service("host", "exec sleep 600", needs("db", "dependencyTimeout = 0.5")),
    function(agent)
      agent:reach(function(i) return i.db.state == "starting" and i.host.state == "blocked" end,
        "host to be blocked")
      local v, _ = why(agent, "db")
      assert.equal("starting", v.state)
      has(v.text, agent.dir .. "/db-ready")
      assert.is_true(v.left > 0)
      has(why(agent, "host").text, "waits for db (required); longer than it should (0.5 s)")
      support.write(agent.dir .. "/db-ready", "")
      agent:reach(function(i) return i.host.state == "running" end, "host to run")
      local after, code = why(agent, "host")
      assert.same({ 0, true }, { code, after.fine })
      support.remove_tree(agent.dir .. "/db-ready")
      agent:reach(function(i) return i.db.health == "failing" end, "db to be unhealthy")
      local sick = why(agent, "db")
      has(sick.text, "health is failing")
      has(sick.text, agent.dir .. "/db-ready")
      local impaired = why(agent, "host")
      has(impaired.text, "impaired")
      assert.equal("db", impaired.chain[1].service)
    end)
  end)

  it("tells what has failed, has been stopped, is done, and how it starts again", function()
    agents.with(agents.service("bad", "exit 3", "restart = { policy = 'never' }")
      .. agents.service("job", "exit 0", "oneshot = true")
      .. agents.service("web", "exec sleep 600"), function(agent)
      agent:reach(function(i)
        return i.bad.state == "failed" and i.job.state == "done" and i.web.state == "running"
      end, "all to settle")
      agent:orrery("stop", "web")
      local bad, code = why(agent, "bad")
      assert.equal(1, code)
      has(bad.text, "exited with code 3")
      has(bad.unblock, "orrery start bad")
      local web
      web, code = why(agent, "web")
      assert.equal(0, code)
      has(web.text, "is stopped")
      has(web.unblock, "orrery start web")
      assert.equal("done", why(agent, "job").state)
    end)
  end)

  it("says at shutdown who holds a service up, and until when", function()
    local agent
    agents.with(agents.service("db", "exec sleep 600")
      .. agents.service("host", "trap '' TERM; echo $$ >> DIR/pids; while :; do sleep 0.1; done",
        needs("db", "stop = { timeout = 60 }")), function(started)
      agent = started
      agent:pids("pids", 1)
      agent:reach(function(i) return i.host.state == "running" end, "host to run")
      agent:post("down", "{}")
      agent:reach(function(i) return i.host.state == "stopping" end, "host to stop")
      local v, code, answer = why(agent, "db")
      assert.same({ 1, true }, { code, answer.stopping })
      has(v.text, "should stop, and waits until these have stopped: host@")
      local holder = v.chain[1]
      assert.equal("host", holder.service)
      has(holder.text, "SIGTERM")
      assert.is_true(holder.left <= 60)
      has(holder.unblock, "it is killed in ")
      agent:signal("KILL", agent:pids("pids", 1)[1])
    end)
  end)

  it("says at a restart who is stopped first", function()
    agents.with(agents.service("db", "exec sleep 600")
      .. agents.service("host", "trap '' TERM; echo $$ >> DIR/pids; while :; do sleep 0.1; done",
        needs("db", "stop = { timeout = 60 }")), function(agent)
      agent:pids("pids", 1)
      agent:reach(function(i) return i.host.state == "running" end, "host to run")
      agent:post("restart", "{}")
      agent:reach(function(i) return i.host.state == "stopping" end, "host to stop")
      local v = why(agent, "db")
      assert.equal("running", v.state)
      has(v.text, "should restart, and waits until these have stopped: host@")
      agent:signal("KILL", agent:pids("pids", 1)[1])
      agent:signal("KILL", agent:pids("pids", 2)[2])
    end)
  end)

  it("names the value that a pending service waits for", function()
    agents.with(agents.service("setup", "while ! [ -e DIR/go ]; do sleep 0.05; done; "
        .. "echo key=abc > $ORRERY_OUTPUT", "oneshot = true")
      .. agents.service("web", "exec sleep 600", "env = { KEY = '${service.setup.key}' }"),
    function(agent)
      agent:reach(function(i) return i.web.state == "backoff" end, "web to be pending")
      local v, code = why(agent, "web")
      assert.equal(1, code)
      has(v.text, "waits for a value: ")
      has(v.text, "the key of 'setup' is not known yet: its run has not succeeded")
      has(v.unblock, "it starts by itself once the value is known")
      has(text_of(agent, "setup"), "runs once, and has not ended yet")
      local _, out = agent:orrery("status")
      has(out, "pending")
      support.write(agent.dir .. "/go", "")
      local i = agent:reach(function(found) return found.web.state == "running" end, "web to run")
      assert.same({}, i.web.flags)
    end)
  end)

  it("waits where discovery errs, and says so: that is not to say that there is none", function()
    local dir = agents.stack(agents.service("web", "exec sleep 600", [[env = {
      U = '${service.other.url}' }, dependencies = { { name = "other", discover = true,
      type = "soft" } }]]), "discovery = { filePath = 'DIR/records' },")
    assert(core.file.mkdir(dir .. "/records", 493))
    support.write(dir .. "/records/other.json", "{ this is no JSON")
    agents.over(dir, function(agent)
      agent:reach(function(i) return i.web.state == "backoff" end, "web to be pending")
      local v = why(agent, "web")
      has(v.text, "nothing is known of service 'other' yet: ")
      has(v.text, "other.json")
      support.write(dir .. "/records/other.json", '{ "address": "10.0.0.9", "port": 80 }')
      agent:reach(function(i) return i.web.state == "running" end, "web to run")
    end)
  end)

  it("tells of a foreign process on its port, and how to go on", function()
    local port = support.free_port()
    local server = assert(core.process.spawn { argv = { "python3", "-m", "http.server",
      tostring(port), "--bind", "127.0.0.1" }, cwd = "/", instance = "spec/foreign" })
    local ok, problem = pcall(function()
      support.wait_until(function() return not core.net.can_bind("127.0.0.1", port) end)
      agents.with(agents.service("web", "exec sleep 600", "port = " .. port), function(agent)
        agent:reach(function(i) return i.web.state == "failed" end, "web to fail")
        local v, code = why(agent, "web")
        assert.equal(1, code)
        has(v.text, "its port is foreign: port " .. port)
        has(v.text, ("(pid %d)"):format(server.pid))
        has(v.unblock, "free the port, then: orrery start web")
        server:kill()
        server:wait(50)
        assert.equal(0, (agent:orrery("start", "web")))
        local i = agent:reach(function(found) return found.web.state == "running" end, "web to run")
        assert.same({}, i.web.flags)
      end)
    end)
    server:kill()
    server:wait(50)
    if not ok then error(problem, 0) end
  end)

  it("says what a degraded or impaired service lacks, and what clears that", function()
    agents.with(agents.service("cache", "exec sleep 600", ready "cache-ok")
      .. agents.service("db", "exec sleep 600", ready "db-ok")
      .. agents.service("web", "exec sleep 600", [[dependencies = { { name = "db" },
        { name = "cache", type = "optional", timeout = 0.3 } }, onDependencyFailure = "keep"]]),
    function(agent)
      support.write(agent.dir .. "/db-ok", "")
      agent:reach(function(i) return i.web.state == "running" end, "web to run")
      local v = why(agent, "web")
      has(v.text, "degraded, for an optional service is missing: cache is ")
      has(v.unblock, "its files are rendered again, when that is healthy")
      assert.same({ "cache", false }, { v.waits[1].service, v.waits[1].holds })
      assert.equal("cache", v.chain[1].service)
      support.remove_tree(agent.dir .. "/db-ok")
      agent:reach(function(i) return #i.web.flags == 2 end, "web to be impaired, too")
      v = why(agent, "web")
      has(v.text, "impaired, for a service that it requires is down: db is running but failing")
      has(v.unblock, "it keeps running meanwhile (onDependencyFailure)")
    end)
  end)

  it("without an agent exits 4, with an unknown service 2", function()
    local dir = agents.stack(agents.service("web", "exec sleep 600"))
    assert.equal(4, (support.orrery { "-f", dir, "why", "web" }))
    assert.equal(2, (support.orrery { "-f", dir, "why", "wep" }))
  end)
end)
