-- Dependencies on discovered groups: { name = "relay", discover = true, min = 2, tag = "eu" }, with
-- a real agent and a file backend that others write.
local core = require "orrery.core"
local support = require "support"
local agents = require "support.agents"
local stacks = require "support.stacks"

local function service(more)
  return agents.service("feeds", "echo $$ >> DIR/pids; echo \"$ATPROTO_SERVICE_RELAY_ADDRESS\" "
    .. "> DIR/relay; exec sleep 600", more)
end

local GROUP = "dependencies = { { name = 'relay', discover = true, min = 2, tag = 'eu' } }"

local function has(text, part) assert.truthy(text:find(part, 1, true), part .. " in:\n" .. text) end

--- Runs `body(agent, join, leave)`; join and leave change who is in the group.
local function with(services, body)
  local backend
  local ok, problem = pcall(agents.with, services, function(agent)
    backend = assert(core.discovery.open("file", { filePath = agent.dir .. "/state/discovery" }))
    body(agent, function(id, tag, status)
      assert(backend:register({ service = "relay", id = id, node = "n", address = "10.0.0." .. #id,
        port = 2470, tags = { tag }, status = status }))
    end, function(id) assert(backend:deregister("relay", id)) end)
  end)
  if backend then backend:close() end
  if not ok then error(problem, 0) end
end

local function feeds(agent, predicate, what)
  local instances, state = agent:reach(function(i) return i.feeds and predicate(i.feeds) end, what)
  for _, one in ipairs(state.services) do
    if one.name == "feeds" then return instances.feeds, one end
  end
end

local function has_flag(instance, flag)
  for _, one in ipairs(instance.flags) do if one == flag then return true end end
  return false
end

local function why(agent)
  local _, out = agent:orrery("why", "feeds", "--json")
  return core.json.decode(out).instances[1]
end

describe("a dependency on a discovered group", function()
  it("starts its service once enough passing instances carry the tag", function()
    with(service(GROUP), function(agent, join)
      feeds(agent, function(i) return i.state == "waiting" end, "feeds to wait")
      join("relay@a", "eu")
      join("relay@us", "us")
      join("relay@sick", "eu", "failing")
      local _, view = feeds(agent, function(i)
        return i.reason:find("discovery has 1 of 3 (relay@a, relay@sick, relay@us)", 1, true)
      end, "status to say who is there")
      assert.same({ name = "relay", type = "required", min = 2, tag = "eu", found = { "relay@a" },
        met = false, reason = view.groups[1].reason }, view.groups[1])
      local v = why(agent)
      has(v.text, "waits for relay (required, discovered, for at most ")
      has(v.unblock, "at least 2 passing instances tagged eu of relay in discovery")
      assert.same({ true, 1, true }, { v.waits[1].discover, v.waits[1].found, v.waits[1].holds })
      assert.equal(124, (agent:orrery("wait", "--deps", "feeds", "--timeout", "0.2")))
      join("relay@second", "eu")
      feeds(agent, function(i) return i.state == "running" end, "feeds to run")
      assert.equal(0, (agent:orrery("wait", "--deps", "feeds", "--timeout", "5")))
      support.wait_until(function() return agent:text("relay") == "10.0.0.7\n" end) -- of relay@a
    end)
  end)

  it("is as an impaired required one when it loses them", function()
    with(service(GROUP), function(agent, join, leave)
      join("relay@a", "eu")
      join("relay@b", "eu")
      feeds(agent, function(i) return i.state == "running" end, "feeds to run")
      leave("relay@b")
      feeds(agent, function(i) return has_flag(i, "impaired") end, "feeds to be impaired")
      local _, table_text = agent:orrery("status")
      has(table_text, "impaired: relay needs at least 2 passing instances tagged eu; discovery")
      local v = why(agent)
      assert.equal("running", v.state)
      has(v.text, "impaired, for a service that it requires is down: relay needs at least 2")
      has(v.unblock, "it keeps running meanwhile")
      join("relay@b", "eu")
      feeds(agent, function(i) return not has_flag(i, "impaired") end, "feeds to be whole")
      assert.equal(1, #agent:pids("pids", 1))
    end)
  end)

  it("takes over what a reload says of it, without a restart", function()
    with(service(GROUP), function(agent, join, leave)
      join("relay@a", "eu")
      join("relay@b", "eu")
      feeds(agent, function(i) return i.state == "running" end, "feeds to run")
      leave("relay@b")
      feeds(agent, function(i) return has_flag(i, "impaired") end, "feeds to be impaired")
      local path = agent.dir .. "/stack.lua"
      support.write(path, (support.read(path):gsub("min = 2", "min = 1")))
      local code, _, err = agent:orrery("reload")
      assert.equal(0, code, err)
      feeds(agent, function(i) return not has_flag(i, "impaired") end, "feeds to be whole")
      assert.equal(1, #agent:pids("pids", 1))
    end)
  end)

  it("obeys onDependencyFailure: restart stops at once, and starts when they are back", function()
    with(service(GROUP .. ", onDependencyFailure = 'restart'"), function(agent, join, leave)
      join("relay@a", "eu")
      join("relay@b", "eu")
      feeds(agent, function(i) return i.state == "running" end, "feeds to run")
      leave("relay@a")
      local waiting = feeds(agent, function(i) return i.state == "waiting" end, "feeds to stop")
      assert.is_nil(waiting.pid)
      join("relay@a", "eu")
      feeds(agent, function(i) return i.state == "running" end, "feeds to run again")
      agent:pids("pids", 2)
    end)
  end)

  it("counts as blocked after its timeout, and starts the moment they are there", function()
    with(service("dependencies = { { name = 'relay', discover = true, timeout = 0.3 } }"),
    function(agent, join)
      feeds(agent, function(i) return i.state == "blocked" end, "feeds to be blocked")
      join("relay@a", "any", nil)
      feeds(agent, function(i) return i.state == "running" end, "feeds to run")
    end)
  end)

  it("optional ones are waited for within the budget, then the service runs degraded", function()
    with(service("dependencies = { { name = 'relay', discover = true, type = 'optional', "
      .. "timeout = 0.3 } }"), function(agent, join)
      feeds(agent, function(i) return i.state == "running" and has_flag(i, "degraded") end,
        "feeds to run degraded")
      join("relay@a", "eu")
      feeds(agent, function(i) return #i.flags == 0 end, "feeds to be whole")
    end)
  end)

  it("keeps its last answer while discovery does not answer", function()
    with(service(GROUP), function(agent, join)
      join("relay@a", "eu")
      join("relay@b", "eu")
      feeds(agent, function(i) return i.state == "running" end, "feeds to run")
      local path = agent.dir .. "/state/discovery/relay.json"
      local good = support.read(path)
      support.write(path, "{ this is no JSON")
      local _, view = feeds(agent, function()
        local _, state = agent:state()
        for _, one in ipairs(state.services) do
          if one.name == "feeds" and one.groups[1].problem then return true end
        end
      end, "discovery's trouble to show")
      has(view.groups[1].problem, "relay.json")
      assert.same({ true, 0 }, { view.groups[1].met, #view.instances[1].flags })
      support.write(path, good)
      feeds(agent, function()
        local _, state = agent:state()
        for _, one in ipairs(state.services) do
          if one.name == "feeds" and not one.groups[1].problem then return true end
        end
      end, "discovery to be well")
    end)
  end)

  it("shows in plan and graph", function()
    local dir = agents.stack(service(GROUP))
    local code, out, err = support.orrery { "-f", dir, "plan" }
    assert.equal(0, code, err)
    has(out, "needs at least 2 passing instances tagged eu of relay in discovery, for at most 60 s")
    local _, json = support.orrery { "-f", dir, "plan", "--json" }
    local wait = core.json.decode(json).services[1].waits[1]
    assert.same({ true, 2, "eu" }, { wait.discover, wait.min, wait.tag })
    _, out = support.orrery { "-f", dir, "graph" }
    has(out, "feeds\n  needs relay")
    _, out = support.orrery { "-f", dir, "graph", "--svg" }
    has(out, "discovered, 2 tagged eu")
  end)

  it("refuses keys that do not go together", function()
    local function only(text)
      return stacks.only(support.tmp(), "return { services = { a = { " .. stacks.EXEC
        .. ", dependencies = { { name = 'relay', " .. text .. " } } }, relay = { type = 'process', "
        .. stacks.EXEC .. " } } }")
    end
    assert.matches("services%.a%.dependencies%.relay%.min: is for a discovered group",
      only("min = 2"))
    assert.matches("tag: is for a discovered group", only("tag = 'eu'"))
    assert.matches("healthCheck: is for a service of this stack",
      only("discover = true, healthCheck = { strategy = 'tcp', port = 1 }"))
  end)
end)
