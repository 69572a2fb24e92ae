-- replicas = N: copies of a service, each with its own port, folders, log and record.
local core = require "orrery.core"
local support = require "support"
local agents = require "support.agents"

local SCRIPT = "echo copy $0 $1 $2; echo x >> $1/mine; exec python3 -u -m http.server $2"

--- A service of three copies; each shows its id, its data folder and its port.
local function copies(port, count)
  return ([[web = { exec = { 'sh', '-c', %q, "${instance}", "${dir.data}", "${port}" },
    user = %q, port = %d, replicas = %d, healthEndpoint = '/',
    env = { PYTHONDONTWRITEBYTECODE = '1' } },]])
    :format(SCRIPT, core.process.user().name, port, count)
end

local function instances_of(agent)
  local _, state = agent:state()
  return state.services[1].instances, state
end

describe("replicas", function()
  it("run as instances of their own: port + i, own folders, own log, own record", function()
    local first = support.free_port(3)
    agents.with(copies(first, 3), function(agent)
      agent:reach(function(_, state) return state.settled and state.good end, "three copies")
      local list, state = instances_of(agent)
      local node = state.node
      local pids = {}
      for n, i in ipairs(list) do
        local id = n == 1 and "web@" .. node or ("web-%d@%s"):format(n, node)
        assert.same({ id, first + n - 1 }, { i.id, i.port })
        assert.equal(200, assert(core.http.get(("http://127.0.0.1:%d/"):format(i.port))).status)
        local data = agent.dir .. "/state/data/web" .. (n == 1 and "" or "-" .. n)
        assert.equal("x\n", support.read(data .. "/mine"))
        local log = support.read(("%s/state/log/%s.log"):format(agent.dir, id))
        assert.truthy(log:find(("copy %s %s %d"):format(id, data, i.port), 1, true), log)
        pids[i.pid] = true
      end
      assert.equal(3, #list)
      support.wait_until(function()
        local _, out = agent:orrery("discover", "web", "--json")
        return #assert(core.json.decode(out)) == 3
      end, 20, "three records")
      local _, table_text = agent:orrery("status")
      assert.truthy(table_text:find("web-3@" .. node, 1, true), table_text)
      assert.equal(0, (agent:orrery("restart", "web")))
      for _, i in ipairs((instances_of(agent))) do
        assert.is_nil(pids[i.pid])
        assert.equal("running", i.state)
      end
      assert.equal(0, (agent:orrery("stop", "web")))
      for _, i in ipairs((instances_of(agent))) do assert.equal("stopped", i.state) end
    end)
  end)

  it("start again one by one, and one that runs is enough for who needs the service", function()
    local first = support.free_port(2)
    agents.with(copies(first, 2) .. agents.service("user", "exec sleep 600",
      "dependencies = { 'web' }"), function(agent)
      agent:reach(function(_, state) return state.settled and state.good end, "both copies")
      local _, state = agent:state()
      local copy = state.services[1].instances[2]
      agent:signal("KILL", copy.pid)
      local after = agent:reach(function(_, now)
        local second = now.services[1].instances[2]
        return second.restarts == 1 and second.state == "running" and second.health == "passing"
      end, "the second copy to be back")
      assert.equal(state.services[1].instances[1].pid, after.web.pid)
      assert.same({}, after.user.flags)
    end)
  end)
end)
