-- `orrery reload` and SIGHUP: a changed stack file is taken over, and only what differs is done.
local support = require "support"
local agents = require "support.agents"

local SLEEP = "exec sleep 600"

local function rewrite(agent, services)
  local text = ("return { name = 'spec', stateDir = 'DIR/state', services = {" .. services .. "} }")
    :gsub("DIR", agent.dir)
  support.write(agent.dir .. "/stack.lua", text)
end

local function file_check(file, more)
  return ("healthCheck = { strategy = 'file', path = 'DIR/%s', interval = 0.2, fall = 1 }, %s")
    :format(file, more or "")
end

local NEEDS_DB = "dependencies = { 'db' }, onDependencyFailure = 'restart'"

local function settled(_, state) return state.settled and state.good end

local function reload(agent, ...)
  local code, out, err = agent:orrery("reload", ...)
  return code, out .. err
end

local function has(text, part) assert.truthy(text:find(part, 1, true), part .. " in:\n" .. text) end

describe("reload", function()
  it("starts what is new, stops what is gone, restarts what changed, leaves the rest", function()
    local base = agents.service("db", SLEEP) .. agents.service("stays", SLEEP)
    agents.with(base .. agents.service("old", SLEEP, "dependencies = { 'db' }")
      .. agents.service("app", SLEEP, NEEDS_DB), function(agent)
      local before = agent:reach(settled, "all to run")
      rewrite(agent, base .. agents.service("new", SLEEP)
        .. agents.service("app", "echo changed; exec sleep 601", NEEDS_DB))
      local _, planned = agent:orrery("plan")
      has(planned, "- old is stopped")
      has(planned, "+ new is started")
      has(planned, "~ app is restarted (exec)")
      assert.equal(before.app.pid, agent:state().app.pid)
      local code, text = reload(agent)
      assert.equal(0, code, text)
      has(text, "~ app is restarted (exec)")
      local after, state = agent:state()
      assert.same({ before.db.pid, before.stays.pid }, { after.db.pid, after.stays.pid })
      assert.equal("running", after.new.state)
      assert.not_equal(before.app.pid, after.app.pid)
      assert.equal(0, after.app.restarts)
      assert.is_nil(after.old)
      assert.is_false(support.procfs.alive(before.old.pid))
      assert.equal(4, #state.services)
      has(select(2, reload(agent)), "nothing differs")
    end)
  end)

  it("restarts in dependency order, dependents down first, as planned restarts", function()
    local function services(word)
      return agents.service("db", "trap 'sleep 0.3; echo db down >> DIR/trace; exit' TERM; "
        .. "echo db up >> DIR/trace; touch DIR/ready; while :; do sleep 0.05; done # " .. word,
        file_check "ready")
        .. agents.service("app", "trap 'echo app down >> DIR/trace; exit' TERM; "
        .. "echo app up >> DIR/trace; while :; do sleep 0.05; done # " .. word, NEEDS_DB)
    end
    agents.with(services("one"), function(agent)
      local function traced(expected)
        support.wait_until(function() return #agent:text("trace") >= #expected end)
        assert.equal(expected, agent:text("trace"))
      end
      agent:reach(settled, "both to run")
      traced "db up\napp up\n"
      rewrite(agent, services("two"))
      local code, text = reload(agent)
      assert.equal(0, code, text)
      traced "db up\napp up\napp down\ndb down\ndb up\napp up\n"
    end)
  end)

  it("exchanges checks under a running process, and its dependents do not notice", function()
    local app = agents.service("app", SLEEP, NEEDS_DB)
    agents.with(agents.service("db", "touch DIR/one DIR/two; exec sleep 600", file_check "one")
      .. app, function(agent)
      local before = agent:reach(settled, "both to run")
      rewrite(agent, agents.service("db", "touch DIR/one DIR/two; exec sleep 600",
        file_check "two") .. app)
      local code, text = reload(agent)
      assert.equal(0, code, text)
      has(text, "~ db gets its new checks, without a restart (healthChecks)")
      local after = agent:state()
      assert.same({ before.db.pid, before.app.pid }, { after.db.pid, after.app.pid })
      os.remove(agent.dir .. "/one")
      os.remove(agent.dir .. "/two")
      local sick = agent:reach(function(i) return i.db.health == "failing" end, "db to fail")
      has(sick.db.message, agent.dir .. "/two")
    end)
  end)

  it("writes files again and takes them up by their signal", function()
    local function services(word)
      return agents.service("app", "trap 'echo hup >> DIR/signals' HUP; echo up >> DIR/signals; "
        .. "while :; do sleep 0.05; done", ("config = { ['app.conf'] = { template = '%s', "
        .. "reload = { signal = 'HUP' } } }"):format(word))
    end
    agents.with(services("one"), function(agent)
      local before = agent:reach(settled, "app to run")
      support.wait_until(function() return agent:text("signals") == "up\n" end)
      rewrite(agent, services("two"))
      local code, text = reload(agent)
      assert.equal(0, code, text)
      assert.equal("two", agent:text("state/config/app/app.conf"))
      support.wait_until(function() return agent:text("signals") == "up\nhup\n" end)
      assert.equal(before.app.pid, agent:state().app.pid)
    end)
  end)

  it("of a wrong file changes nothing, says why, and exits 3; so does SIGHUP", function()
    agents.with(agents.service("db", SLEEP), function(agent)
      local before = agent:reach(settled, "db to run")
      rewrite(agent, "db = { exec = 5 }")
      local code, text = reload(agent)
      assert.equal(3, code, text)
      has(text, "services.db.exec")
      agent:signal("HUP")
      local function refused()
        return agent:text("up.log"):find("reload: services.db.exec", 1, true)
      end
      support.wait_until(refused, 10, "the event")
      assert.is_true(support.procfs.alive(before.db.pid))
      rewrite(agent, agents.service("db", SLEEP) .. agents.service("new", SLEEP))
      agent:signal("HUP")
      agent:reach(function(i) return i.new and i.new.state == "running" end, "the new service")
      assert.equal(before.db.pid, agent:state().db.pid)
    end)
  end)

  it("adds and takes away copies", function()
    local function services(count)
      return agents.service("web", SLEEP, ("replicas = %d"):format(count))
    end
    agents.with(services(2), function(agent)
      local _, state = agent:reach(settled, "two copies")
      local first = state.services[1].instances[1].pid
      for _, count in ipairs { 3, 1 } do
        rewrite(agent, services(count))
        local code, text = reload(agent)
        assert.equal(0, code, text)
        local _, now = agent:reach(function(_, s)
          return #s.services[1].instances == count and s.settled
        end, count .. " copies")
        assert.equal(first, now.services[1].instances[1].pid)
      end
    end)
  end)

  it("without an agent exits 4", function()
    local dir = agents.stack(agents.service("web", SLEEP))
    assert.equal(4, (support.orrery { "-f", dir, "reload" }))
  end)
end)
