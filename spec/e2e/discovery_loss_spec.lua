-- An agent whose discovery backend is away, comes back, and forgets: a backend in Lua over a real
-- key store.
local agents = require "support.agents"
local core = require "orrery.core"
local servers = require "support.servers"
local support = require "support"

local KEYSTORE = support.root .. "/spec/support/backends/keystore.lua"

local function discovery(port, more)
  return ("discovery = { backend = %q, options = { url = 'http://127.0.0.1:%d' }, %s },")
    :format(KEYSTORE, port, more or "")
end

local function has(text, part) assert.truthy(text:find(part, 1, true), part .. " in:\n" .. text) end

--- What the store at `port` has of a service.
local function stored(port, service)
  local answer = core.http.get(("http://127.0.0.1:%d/%s"):format(port, service))
  return answer and core.json.decode(answer.body)
end

local function put(port, record)
  record.ttl = 0
  assert(core.http.request { method = "PUT", body = core.json.encode(record),
    url = ("http://127.0.0.1:%d/%s/%s"):format(port, record.service, record.id) })
end

local function count_lines(text, part)
  local lines = 0
  for line in text:gmatch("[^\n]+") do if line:find(part, 1, true) then lines = lines + 1 end end
  return lines
end

describe("up with a discovery backend that is away", function()
  it("goes on, says so once, and registers as soon as it is back", function()
    local port = support.free_port()
    agents.with(agents.service("web", "exec sleep 600", "port = " .. support.free_port()),
    function(agent)
      agent:reach(function(i) return i.web and i.web.state == "running" end, "web to run")
      local id = "web@" .. require("orrery.places").node()
      local text = ("Cannot register with discovery backend keystore at http://127.0.0.1:%d/web/"
        .. "%s: connection refused"):format(port, id)
      support.wait_until(function()
        local _, out = agent:orrery("events")
        return out:find(text, 1, true)
      end, 20, "the event")
      local code, _, err = agent:orrery("services")
      assert.equal(4, code)
      has(err, "Cannot query discovery backend keystore at http://127.0.0.1:" .. port)
      local server = servers.start("key_store.py", tostring(port))
      local ok, problem = pcall(function()
        support.wait_until(function()
          local list = stored(port, "web")
          return list and list[1] and list[1].id == id
        end, 60, "web to be registered")
        local out
        support.wait_until(function()
          _, out = agent:orrery("events")
          return out:find("discovery backend keystore works again", 1, true)
        end, 20, "the event of its return")
        assert.equal(1, count_lines(out, "Cannot register"))
        _, out = agent:orrery("discover", "web", "--json")
        assert.equal("keystore", core.json.decode(out)[1].source)
      end)
      server.stop()
      if not ok then error(problem, 0) end
    end, discovery(port))
  end)
end)

describe("a service that needs one of another stack", function()
  local SCRIPT = "echo \"$WHERE $ATPROTO_SERVICE_RELAY_ADDRESS\" >> DIR/where; "
    .. "exec sleep 600"

  local FIRST = "10.0.0.2 10.0.0.2\n"

  local function user_of_relay()
    return agents.service("user", SCRIPT, "env = { WHERE = '${service.relay.address}' }, "
      .. "dependencies = { { name = 'relay', discover = true } }")
  end

  it("waits until it is known, and stays with the instance it was given", function()
    local server = servers.start("key_store.py", "0")
    local port = server.ports[1]
    local ok, problem = pcall(agents.with, user_of_relay(), function(agent)
      agent:reach(function(i) return i.user and i.user.state == "waiting" end, "user to wait")
      put(port, { service = "relay", id = "relay@b", node = "b", address = "10.0.0.2", port = 1 })
      support.wait_until(function() return agent:text("where") == FIRST end, 30, "a start")
      put(port, { service = "relay", id = "relay@a", node = "a", address = "10.0.0.1", port = 1 })
      agent:orrery("restart", "user")
      support.wait_until(function()
        return agent:text("where") == FIRST .. FIRST
      end, 30, "the same at the second start")
      assert(core.http.request { method = "DELETE",
        url = ("http://127.0.0.1:%d/relay/relay@b"):format(port) })
      support.wait_until(function()
        agent:orrery("restart", "user")
        return agent:text("where"):find("10.0.0.1 10.0.0.1\n", 1, true)
      end, 30, "the other when it is gone")
    end, discovery(port))
    server.stop()
    if not ok then error(problem, 0) end
  end)

  it("is started with the last known answer while no backend answers", function()
    local server = servers.start("key_store.py", "0")
    local port = server.ports[1]
    local dir = agents.stack(user_of_relay(), discovery(port))
    put(port, { service = "relay", id = "relay@b", node = "b", address = "10.0.0.2", port = 1 })
    local function starts(wanted, event)
      local agent = agents.up(dir)
      local ok, problem = pcall(function()
        support.wait_until(function() return agent:text("where") == wanted end, 30, "a start")
        local _, out = agent:orrery("events")
        has(out, event)
      end)
      agent:down()
      if not ok then error(problem .. "\n" .. agent:text("up.log"), 0) end
    end
    local ok, problem = pcall(starts, FIRST, "found: relay@b")
    server.stop()
    if not ok then error(problem, 0) end
    assert.equal(tonumber("640", 8),
      core.file.stat(dir .. "/state/last-known/relay.json").mode)
    starts(FIRST .. FIRST, "what is known of relay may be out of date: Cannot query discovery "
      .. "backend keystore at http://127.0.0.1:" .. port .. "/relay: connection refused")
  end)
end)
