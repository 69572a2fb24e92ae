-- What the agent and its guard survive, and what nobody survives: no child outlives its agent.
local agents = require "support.agents"
local core = require "orrery.core"
local support = require "support"

-- Ignores TERM, and so does a worker of it in a session of its own.
local STUBBORN = [[trap "" TERM; echo $$ >>DIR/pids;
  setsid sh -c "trap '' TERM; echo \$\$ >>DIR/pids; while :; do sleep 60; done" &
  while :; do sleep 60; done]]

local PLAIN = agents.service("plain", "echo $$ >>DIR/pids; exec sleep 600")
local TREE = PLAIN .. agents.service("stubborn", STUBBORN, "stop = { timeout = 1 }")

local function running(...)
  local names = { ... }
  return function(instances)
    for _, name in ipairs(names) do
      if instances[name].state ~= "running" then return false end
    end
    return true
  end
end

local function all_gone(pids)
  for _, pid in ipairs(pids) do support.wait_gone(pid, 15) end
end

describe("no child is left", function()
  it("when the agent is killed, not even one in its own session that ignores TERM", function()
    agents.with(TREE, function(agent)
      local _, state = agent:reach(running("plain", "stubborn"), "both to run")
      local pids = agent:pids("pids", 3)
      agent:signal("KILL", state.agent.pid)
      all_gone(pids)
      support.wait_gone(state.agent.guard)
    end)
  end)

  it("when the guard is killed: the agent stops everything, says why and exits 1", function()
    local status = agents.with(TREE, function(agent)
      local _, state = agent:reach(running("plain", "stubborn"), "both to run")
      local pids = agent:pids("pids", 3)
      agent:signal("KILL", state.agent.guard)
      assert.same({ code = 1 }, agent.process:wait(50))
      all_gone(pids)
      local said = agent:text("up.log")
      assert.matches("the guard died", said)
      assert.matches("services were stopped", said)
      assert.is_false(support.exists(agent.dir .. "/state/run/api.sock"))
    end)
    assert.same({ code = 1 }, status)
  end)

  it("when both are killed at once: the next up ends what is left, and starts", function()
    local agent = agents.detached(agents.stack(TREE))
    local ok, problem = xpcall(function()
      local _, state = agent:reach(running("plain", "stubborn"), "both to run")
      local pids = agent:pids("pids", 3)
      support.run { "sh", "-c", ("kill -STOP %d; kill -KILL %d %d"):format(state.agent.guard,
        state.agent.pid, state.agent.guard) }
      support.wait_gone(state.agent.guard)
      support.wait_gone(state.agent.pid)
      local left = 0
      for _, pid in ipairs(pids) do left = left + (support.procfs.alive(pid) and 1 or 0) end
      assert.is_true(left > 0, "nothing was left to end")

      local code, _, said = agent:orrery("up", "-d")
      assert.equal(0, code, said)
      assert.matches("ending what an earlier agent left: %d process", said)
      for _, pid in ipairs(pids) do assert.is_false(support.procfs.alive(pid)) end
      agent:reach(running("plain", "stubborn"), "both to run again")
    end, debug.traceback)
    agent:orrery("down")
    if not ok then error(problem, 0) end
    all_gone(agent:pids("pids", 6))
  end)

  it("of a main process that ended, before it is started again", function()
    local script = "setsid sleep 600 & echo $! >>DIR/pids; sleep 0.2; exit 1"
    local pids
    agents.with(agents.service("main", script, "restart = { backoff = { 0.1, 0.1 } }"),
      function(agent)
        pids = agent:pids("pids", 3)
        assert.is_false(support.procfs.alive(pids[1]))
        assert.is_false(support.procfs.alive(pids[2]))
        pids = agent:pids("pids", 3)
      end)
    all_gone(pids)
  end)
end)

describe("to stop", function()
  it("goes by SIGTERM in reverse order, one after the other", function()
    local function link(name, needs)
      return agents.service(name,
        ("trap 'echo %s ends >>DIR/order; sleep 0.3; echo %s ended >>DIR/order; exit 0' TERM; "
        .. "echo $$ >>DIR/pids; while :; do sleep 0.05; done"):format(name, name),
        needs and ("dependencies = { %q }"):format(needs))
    end
    local order
    local status = agents.with(link("one") .. link("two", "one") .. link("three", "two"),
      function(agent)
        agent:reach(running("one", "two", "three"), "all to run")
        agent:pids("pids", 3) -- by now each heeds the signal
        agent:down()
        order = agent:text("order")
      end)
    assert.same({ code = 0 }, status)
    assert.equal("three ends\nthree ended\ntwo ends\ntwo ended\none ends\none ended\n", order)
  end)

  it("works in a ring of circular dependencies", function()
    local status = agents.with(
      agents.service("a", "exec sleep 600",
        "dependencies = { { name = 'b', type = 'circular' } }")
      .. agents.service("b", "exec sleep 600", "dependencies = { 'c' }")
      .. agents.service("c", "exec sleep 600", "dependencies = { 'a' }"),
      function(agent)
        agent:reach(running("a", "b", "c"), "all to run")
        assert.equal(0, (agent:orrery("down", "--timeout", "20")))
      end)
    assert.same({ code = 0 }, status)
  end)

  it("kills at the deadline what ignores its signal, and says so", function()
    agents.with(TREE, function(agent)
      agent:reach(running("plain", "stubborn"), "both to run")
      local pids = agent:pids("pids", 3)
      assert.equal(0, (agent:orrery("stop", "stubborn")))
      local instances = agent:state()
      assert.equal("stopped", instances.stubborn.state)
      assert.matches("did not end within 1 s of its stop signal", instances.stubborn.reason)
      local alive = 0
      for _, pid in ipairs(pids) do alive = alive + (support.procfs.alive(pid) and 1 or 0) end
      assert.equal(1, alive)
      assert.is_true(support.procfs.alive(instances.plain.pid))
    end)
  end)

  it("is not held up by a zombie", function()
    -- sh starts a child and becomes sleep, which never collects it
    agents.with(
      agents.service("main", "sh -c 'exit 0' & exec sleep 600", "stop = { timeout = 20 }"),
      function(agent)
        local pid = agent:reach(running("main"), "main to run").main.pid
        support.wait_until(function()
          for _, child in pairs(support.procfs.descendants(pid)) do
            if child.state == "Z" then return true end
          end
        end, 10, "a zombie")
        local before = core.time.monotonic()
        assert.equal(0, (agent:orrery("stop", "main")))
        assert.is_true(core.time.monotonic() - before < 18)
        assert.is_false(support.procfs.alive(pid))
      end)
  end)

  it("ends a hook that runs, and a start after it begins anew", function()
    local hook_script = "echo $$ >>DIR/hooks; test -e DIR/go || sleep 600"
    agents.with(agents.service("main", "exec sleep 600",
      ("hooks = { beforeStart = { 'sh', '-c', %q } }"):format(hook_script)),
      function(agent)
        local hook = agent:pids("hooks", 1)[1]
        assert.equal(0, (agent:orrery("stop", "main")))
        support.wait_gone(hook)
        assert.equal("stopped", agent:state().main.state)
        support.write(agent.dir .. "/go", "")
        assert.equal(0, (agent:orrery("start", "main")))
        assert.equal(2, #agent:pids("hooks", 2))
        agent:reach(running("main"), "main to run")
      end)
  end)

  it("and start at once again leaves it running, as another process", function()
    agents.with(PLAIN, function(agent)
      local pid = agent:reach(running("plain"), "plain to run").plain.pid
      assert.equal(202, agent:post("stop", '{"services": ["plain"]}').status)
      assert.equal(202, agent:post("start", '{"services": ["plain"]}').status)
      local after = agent:reach(function(instances)
        return instances.plain.state == "running" and instances.plain.pid ~= pid
      end, "another process").plain
      assert.equal(0, after.restarts)
      assert.is_false(support.procfs.alive(pid))
    end)
  end)
end)

describe("to restart", function()
  it("goes by the exit code and the policy", function()
    agents.with(agents.service("good", "exit 0", "restart = { policy = 'on-failure' }")
      .. agents.service("bad", "exit 3",
        "restart = { policy = 'on-failure', backoff = { 0.1, 0.1 }, max = 2 }")
      .. agents.service("once", "exit 4", "restart = { policy = 'never' }"),
      function(agent)
        local seen = agent:reach(function(instances)
          return instances.bad.state == "failed" and instances.good.state == "done"
            and instances.once.state == "failed"
        end, "all to be at rest")
        assert.same({ 0, 2, 0 }, { seen.good.restarts, seen.bad.restarts, seen.once.restarts })
        assert.matches("exited with code 3.*restarted 2 times", seen.bad.reason)
        assert.matches("exited with code 4", seen.once.reason)
        agent:orrery("start", "bad") -- what has failed begins its count anew
        seen = agent:reach(function(instances)
          return instances.bad.state == "failed" and instances.bad.restarts == 4
        end, "two more restarts")
        assert.equal("done", seen.good.state)
      end)
  end)

  it("stops a dependent that wants to stop with its dependency, and up -d would settle", function()
    agents.with(agents.service("db", "exec sleep 600", "restart = { policy = 'never' }")
      .. agents.service("app", "exec sleep 600",
        "dependencies = { 'db' }, onDependencyFailure = 'stop'"),
      function(agent)
        local before = agent:reach(running("db", "app"), "both to run")
        agent:signal("KILL", before.db.pid)
        local seen, state = agent:reach(function(instances)
          return instances.app.state == "stopped"
        end, "app to stop")
        assert.matches("db went down", seen.app.reason)
        assert.is_true(state.settled)
        assert.is_false(state.good)
        agent:orrery("start", "app")
        agent:reach(running("db", "app"), "both to run again")
      end)
  end)
end)

describe("the log of a service", function()
  it("is rotated under load without losing a line", function()
    local lines = 20000
    agents.with(agents.service("loud",
      ("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo line $i; done; exec sleep 600"):format(lines),
      "logs = { maxBytes = 262144, keep = 9 }"),
      function(agent)
        local logs = agent.dir .. "/state/log"
        local current
        support.wait_until(function()
          for _, name in ipairs(core.file.list(logs) or {}) do
            if name:find("^loud@.*%.log$") then current = logs .. "/" .. name end
          end
          return current and support.exists(current)
            and support.read(current):find(("line %d\n"):format(lines), 1, true)
        end, 30, "the last line")
        local wanted, files = 1, 0
        for n = 9, 0, -1 do
          local path = n == 0 and current or current .. "." .. n
          if support.exists(path) then
            files = files + 1
            local text = support.read(path)
            assert.is_true(#text <= 262144 + 65536, path)
            for number in text:gmatch("out line (%d+)\n") do
              assert.equal(wanted, tonumber(number))
              wanted = wanted + 1
            end
          end
        end
        assert.equal(lines + 1, wanted)
        assert.is_true(files > 1)
      end)
  end)
end)

describe("the agent's API", function()
  it("refuses what it does not understand, and touches nothing", function()
    agents.with(PLAIN, function(agent)
      local pid = agent:reach(running("plain"), "plain to run").plain.pid
      for _, body in ipairs({ "{", "[]x", "7", '"stop"', '["plain"]', '{"services": "plain"}',
        '{"services": {"a": "plain"}}', '{"services": [1]}', '{"service": ["plain"]}' }) do
        local answer = agent:post("stop", body)
        assert.equal(400, answer.status, body)
        assert.is_string(core.json.decode(answer.body).error)
      end
      assert.equal(404, agent:post("stop", '{"services": ["nosuch"]}').status)
      assert.equal(404, agent:post("explode", "{}").status)
      assert.equal(pid, agent:state().plain.pid)
    end)
  end)

  it("gives readers of events the last ones, and a proper end", function()
    agents.with(PLAIN, function(agent)
      agent:reach(running("plain"), "plain to run")
      local stream <close> = assert(core.http.stream({ timeout = 50,
        url = "http://agent/v1/events?since=0&follow=1",
        unixSocket = agent.dir .. "/state/run/api.sock" }))
      assert.equal(410, assert(core.http.get("http://agent/v1/events?since=99999",
        { unixSocket = agent.dir .. "/state/run/api.sock" })).status)
      agent:signal("TERM")
      local last, message, code
      repeat
        local line
        line, message, code = stream:line(50)
        local event = line and line ~= "" and core.json.decode(line) or {}
        if event.type ~= "discovery" then last = event.to or last end
      until not line
      assert.same({ "end", "closed" }, { message, code })
      assert.equal("stopped", last)
    end)
  end)
end)

describe("a service that depends on another", function()
  it("is given its address; its env beats its envFile", function()
    agents.with(agents.service("db", "exec sleep 600",
      "port = 'auto', scheme = 'redis', url = 'redis://${address}:${port}/0', "
      .. "tags = { 'x', 'y' }, meta = { zone = 'eu' }, readyWhen = 'started'")
      .. agents.service("app", "env >DIR/env.tmp; mv DIR/env.tmp DIR/env; exec sleep 600",
        "dependencies = { 'db' }, envFile = 'DIR/vars', env = { BOTH = 'env' }, "
        .. "hooks = { beforeStart = { 'sh', '-c', 'echo $BOTH >DIR/hook' } }"),
      function(agent)
        -- the file is read at the start, which waits until it is there
        local port = agent:reach(running("db"), "db to run").db.port
        agent:reach(function(instances) return instances.app.state == "failed" end, "app to fail")
        support.write(agent.dir .. "/vars", "BOTH=file\nONLY=file\n")
        assert.equal(0, (agent:orrery("start", "app")))
        support.wait_until(function() return support.exists(agent.dir .. "/env") end)
        local env = "\n" .. agent:text("env")
        for _, line in ipairs({ "ATPROTO_SERVICE_DB_URL=redis://127.0.0.1:" .. port .. "/0",
          "ATPROTO_SERVICE_DB_ADDRESS=127.0.0.1", "ATPROTO_SERVICE_DB_PORT=" .. port,
          "ATPROTO_SERVICE_DB_SCHEME=redis", "ATPROTO_SERVICE_DB_TAGS=x,y",
          "ATPROTO_SERVICE_DB_META_ZONE=eu", "BOTH=env", "ONLY=file" }) do
          assert.truthy(env:find("\n" .. line .. "\n", 1, true), line .. " is not in" .. env)
        end
        assert.equal("env\n", agent:text("hook"))
      end)
  end)

  it("waits for the check that it wrote at its edge", function()
    agents.with(agents.service("db", "exec sleep 600")
      .. agents.service("app", "exec sleep 600", "dependencies = { { name = 'db', "
        .. "healthCheck = { strategy = 'file', path = 'DIR/ready', interval = 0.1 } } }"),
      function(agent)
        local seen = agent:reach(function(instances)
          return instances.db.pid and instances.app.state == "waiting"
        end, "app to wait")
        assert.is_table(seen.db.checks["for app"])
        support.write(agent.dir .. "/ready", "")
        agent:reach(running("app"), "app to run")
      end)
  end)
end)

describe("an agent that cannot begin", function()
  it("says so when something else is where its socket belongs", function()
    local dir = agents.stack(PLAIN)
    assert(core.file.mkdir(dir .. "/state/run/api.sock", 493))
    local code, _, err = support.orrery { "-f", dir, "up" }
    assert.equal(1, code, err)
    assert.matches("API cannot be opened.*api%.sock", err)
    assert.is_false(support.exists(dir .. "/pids"))
  end)

  it("says so when the secrets it needs cannot be read", function()
    local dir = agents.stack(agents.service("one", "echo $$ >>DIR/pids; exec sleep 600",
      "env = { KEY = { secret = { generate = 'hex:16', name = 'key' } } }"))
    assert(core.file.mkdir(dir .. "/state", 493))
    support.write(dir .. "/state/secrets", "")
    local code, out, err = support.orrery { "-f", dir, "up", "-d" }
    support.orrery { "-f", dir, "down" }
    assert.equal(1, code, out .. err)
    assert.matches("/state/secrets", out .. err)
    assert.is_false(support.exists(dir .. "/pids"))
  end)

  it("says so when its ports were damaged", function()
    local dir = agents.stack(agents.service("one", "exec sleep 600", "port = 'auto'"))
    assert(core.file.mkdir(dir .. "/state", 493))
    support.write(dir .. "/state/ports.json", "{")
    local code, _, err = support.orrery { "-f", dir, "up" }
    assert.equal(1, code, err)
    assert.matches("ports%.json: .*remove the file", err)
  end)
end)
