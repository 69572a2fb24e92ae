-- Configuration files of running services: written again when what they were made of changes, taken
-- up once, held back by guards, and taken back when the service does not bear them.
local agents = require "support.agents"
local core = require "orrery.core"
local support = require "support"

--- A service that is healthy while DIR/<name>.up exists.
local function web(name, more)
  return agents.service(name, "touch DIR/" .. name .. ".up; exec sleep 600",
    ("healthCheck = { strategy = 'file', path = 'DIR/%s.up', interval = 0.05, fall = 1 }, %s")
      :format(name, more or ""))
end

--- A service with files, which counts the signals it gets in DIR/<name>.hup.
local function front(config, more)
  return agents.service("front",
    "trap 'echo x >> DIR/front.hup' HUP; echo $$ >> DIR/front.pids; "
      .. "while :; do sleep 0.05; done",
    ("config = { %s }, %s"):format(config, more or ""))
end

local STATUS = "template = '%{ for w in services.web ~}${w.id} ${w.status}\\n%{ endfor ~}', "

local function path_of(agent, name) return agent.dir .. "/state/config/front/" .. name end

local function text_of(agent, name)
  local path = path_of(agent, name)
  return support.exists(path) and support.read(path) or nil
end

local function reach_text(agent, name, expected)
  support.wait_until(function() return text_of(agent, name) == expected end, 20,
    ("%s to be %q"):format(name, expected))
end

local function file_events(agent)
  local _, out = agent:orrery("events", "--json")
  local list = {}
  for line in out:gmatch("[^\n]+") do
    local event = core.json.decode(line)
    if event.type == "file" then list[#list + 1] = event end
  end
  return list
end

local function event_with(agent, to)
  for _, event in ipairs(file_events(agent)) do if event.to == to then return event end end
end

local function healthy(name)
  return function(instances) return instances[name] and instances[name].health == "passing" end
end

local function front_runs(instances) return instances.front and instances.front.pid ~= nil end

local function remove(agent, name) assert(core.file.remove(agent.dir .. "/" .. name)) end

local function put(agent, record)
  local d <close> = assert(require("orrery.discovery").open {
    backend = "file", filePath = agent.dir .. "/state/discovery" })
  assert(d:register(record, 0))
end

--- Registers relays of another stack, with the ports 4001, 4002 ...
local function register(agent, ...)
  for n, id in ipairs { ... } do
    put(agent, { service = "relay", id = id, node = "n", address = "127.0.0.1",
      port = 4000 + n, status = "passing" })
  end
end

local function forget(agent)
  assert(core.file.remove(agent.dir .. "/state/discovery/relay.json"))
end

describe("a file of a running service", function()
  it("is written again when what it asks for changes, and taken up by its signal", function()
    agents.with(web("web") .. front("['w.txt'] = { " .. STATUS
      .. "reload = { signal = 'HUP' }, wait = 0 }", "dependencies = { 'web' }"), function(agent)
      agent:reach(front_runs, "front to run")
      reach_text(agent, "w.txt", "web@" .. core.process.hostname() .. " passing\n")
      local pid = agent:pids("front.pids", 1)[1]
      remove(agent, "web.up")
      reach_text(agent, "w.txt", "web@" .. core.process.hostname() .. " failing\n")
      support.wait_until(function() return agent:text("front.hup") ~= "" end, 20, "the signal")
      assert.same({ pid }, agent:pids("front.pids", 1))
      assert.equal("web@" .. core.process.hostname() .. " passing\n", text_of(agent, "w.txt.bak"))
      assert.equal(path_of(agent, "w.txt"), event_with(agent, "written").message)
    end)
  end)

  it("has its service restarted, as a planned restart, if nothing else is said", function()
    agents.with(web("web") .. front("['w.txt'] = { " .. STATUS .. "wait = 0 }", "dependencies = "
      .. "{ { name = 'web', type = 'optional' } }, dependencyTimeout = 0.1"), function(agent)
      agent:reach(healthy("web"), "web to be healthy")
      agent:reach(front_runs, "front to run")
      agent:pids("front.pids", 1)
      remove(agent, "web.up")
      assert.equal(2, #agent:pids("front.pids", 2))
      local instances = agent:reach(front_runs, "front to run again")
      assert.equal(0, instances.front.restarts)
    end)
  end)

  it("has its service restarted only when what that requires is up", function()
    agents.with(web("web") .. front("['w.txt'] = { " .. STATUS .. "wait = 0 }",
      "dependencies = { 'web' }"), function(agent)
      local pid = agent:reach(front_runs, "front to run").front.pid
      remove(agent, "web.up")
      support.wait_until(function() return (text_of(agent, "w.txt") or ""):find("failing") end)
      assert.equal(pid, agent:reach(front_runs, "front").front.pid)
      support.write(agent.dir .. "/web.up", "")
      agent:reach(function(instances)
        return instances.front.pid and instances.front.pid ~= pid
      end, "the restart")
    end)
  end)

  it("is taken up once for all files that change together", function()
    local one = " = { " .. STATUS .. "reload = { signal = 'HUP' }, wait = 0 }, "
    agents.with(web("web") .. front("a" .. one .. "b" .. one .. "c" .. one,
      "dependencies = { 'web' }"), function(agent)
      agent:pids("front.pids", 1) -- by now it heeds the signal
      remove(agent, "web.up")
      for _, name in ipairs { "a", "b", "c" } do
        support.wait_until(function() return (text_of(agent, name) or ""):find("failing") end)
      end
      support.wait_until(function() return agent:text("front.hup") ~= "" end)
      core.time.sleep(0.3) -- a second signal would come within it
      assert.equal("x\n", agent:text("front.hup"))
    end)
  end)

  it("waits for quiet, and no longer than it may", function()
    local due = require("orrery.live").due_at
    assert.equal(11, due(10, 10, { 1, 5 }))
    assert.equal(13.5, due(10, 12.5, { 1, 5 }))
    assert.equal(15, due(10, 14.5, { 1, 5 }))
    assert.equal(10, due(10, 10, { 0, 0 }))
  end)

  it("stays as it is when what it would become is refused by its check", function()
    agents.with(web("web") .. front("['w.txt'] = { " .. STATUS
      .. "check = { 'grep', '-q', 'passing', '${file}' }, reload = 'none', wait = 0 }",
      "dependencies = { 'web' }"), function(agent)
      agent:reach(front_runs, "front to run")
      remove(agent, "web.up")
      agent:reach(function(instances)
        return table.concat(instances.front.flags, " "):find("pending", 1, true)
      end, "the file to be refused")
      assert.truthy(event_with(agent, "failed").reason:find("the old file stays", 1, true))
      assert.truthy(text_of(agent, "w.txt"):find("passing", 1, true))
      local _, why = agent:orrery("why", "front")
      assert.truthy(why:find("its check grep refuses it", 1, true), why)
    end)
  end)

  it("has its reload command run again until it succeeds, and says so meanwhile", function()
    local command = "reload = { command = { 'sh', '-c', 'echo x >> DIR/tries; test -e DIR/ok' } }, "
    agents.with(web("web") .. front("['w.txt'] = { " .. STATUS .. command .. "wait = 0 }",
      "dependencies = { 'web' }"), function(agent)
      agent:reach(front_runs, "front to run")
      remove(agent, "web.up")
      support.wait_until(function() return #agent:text("tries") >= 4 end, 20, "a second try")
      agent:reach(function(instances)
        return table.concat(instances.front.flags, " "):find("pending", 1, true)
      end, "the flag")
      local _, why = agent:orrery("why", "front")
      assert.truthy(why:find("its reload command sh failed: exit code 1", 1, true), why)
      support.write(agent.dir .. "/ok", "")
      support.wait_until(function() return event_with(agent, "taken up") end, 60, "its success")
      agent:reach(function(instances)
        return not table.concat(instances.front.flags, " "):find("pending", 1, true)
      end, "no flag")
    end)
  end)

  it("stays pending when another of its service is written meanwhile", function()
    local two = "['a.txt'] = { " .. STATUS
      .. "check = { 'grep', '-q', 'passing', '${file}' }, reload = 'none', wait = 0 }, "
      .. "['b.txt'] = { template = '%{ for o in services.other ~}${o.status}%{ endfor }', "
      .. "reload = 'none', wait = 0 }"
    agents.with(web("web") .. web("other") .. front(two, "dependencies = { 'web', 'other' }"),
      function(agent)
        agent:reach(front_runs, "front to run")
        local function is_pending(instances)
          return table.concat(instances.front.flags, " "):find("pending", 1, true) ~= nil
        end
        remove(agent, "web.up")
        agent:reach(is_pending, "the file to be refused")
        remove(agent, "other.up")
        reach_text(agent, "b.txt", "failing")
        assert.is_true(is_pending(agent:reach(front_runs, "front")))
        support.write(agent.dir .. "/web.up", "")
        agent:reach(function(instances) return not is_pending(instances) end, "no flag")
      end)
  end)

  it("is taken back when its service turns unhealthy after it", function()
    local check = "healthCheck = { strategy = 'command', interval = 0.05, fall = 1, timeout = 5, "
      .. "command = { 'sh', '-c', '! grep -q failing DIR/state/config/front/w.txt' } }, "
    agents.with(web("web") .. front("['w.txt'] = { " .. STATUS
      .. "reload = { signal = 'HUP' }, wait = 0 }", check .. "dependencies = { 'web' }"),
      function(agent)
        agent:reach(healthy("front"), "front to be healthy")
        agent:pids("front.pids", 1) -- by now it heeds the signal
        remove(agent, "web.up")
        support.wait_until(function() return event_with(agent, "rolled back") end, 20, "the event")
        agent:reach(healthy("front"), "front to be healthy again")
        assert.truthy(text_of(agent, "w.txt"):find("passing", 1, true))
        assert.truthy(event_with(agent, "rolled back").reason:find("taken back", 1, true))
        -- Once what it is made of changes, it is tried again.
        support.write(agent.dir .. "/web.up", "")
        agent:reach(healthy("web"), "web to be healthy")
        assert.truthy(agent:reach(function(instances) return #instances.front.flags == 0 end,
          "the flag to be cleared"))
      end)
  end)

  it("has the tags and meta of services as they were rendered, and so has discovery", function()
    local other = web("web", "port = 5699, tags = { 'a-${stack.name}' }, meta = { k = '${port}' }")
    local config = "['w.txt'] = { template = '${service.web.tags | join} ${service.web.meta.k}', "
      .. "reload = 'none' }"
    agents.with(other .. front(config, "dependencies = { 'web' }"), function(agent)
      agent:reach(front_runs, "front to run")
      assert.equal("a-spec 5699", text_of(agent, "w.txt"))
      support.wait_until(function()
        return support.exists(agent.dir .. "/state/discovery/web.json")
      end, 20, "the record")
      local _, out = agent:orrery("discover", "web", "--json")
      local record = core.json.decode(out)[1]
      assert.same({ { "a-spec" }, { k = "5699" } }, { record.tags, record.meta })
    end)
  end)

  it("lists the instances of a service of its stack that run on other nodes", function()
    local node = core.process.hostname()
    local config = "['w.txt'] = { template = '${service.web.id}:%{ for w in services.web } ${w.id}"
      .. "%{ endfor }', reload = 'none', wait = 0 }"
    local function listing(...)
      local ids = { "web@" .. node, ... }
      table.sort(ids)
      return ("web@%s: %s"):format(node, table.concat(ids, " "))
    end
    agents.with(web("web") .. front(config, "dependencies = { 'web' }"), function(agent)
      agent:reach(front_runs, "front to run")
      reach_text(agent, "w.txt", listing())
      put(agent, { service = "web", id = "web@other", node = "other", address = "192.0.2.7",
        port = 80 })
      reach_text(agent, "w.txt", listing "web@other")
      local _, out = agent:orrery("render", "front")
      assert.equal(listing "web@other" .. "\n", out)
      put(agent, { service = "web", id = "web-9@" .. node, node = node, address = "127.0.0.1",
        port = 81 }) -- nobody knows this node better than its agent
      put(agent, { service = "web", id = "web@third", node = "third", address = "192.0.2.8",
        port = 80 })
      reach_text(agent, "w.txt", listing("web@other", "web@third"))
    end)
  end)

  it("follows a service that only discovery knows, and stays when too much of it goes", function()
    local config = "['r.txt'] = { template = '%{ for r in services.relay ~}${r.id} ${r.port}\\n"
      .. "%{ endfor ~}', minInstances = 1, maxDrop = 1, reload = 'none', wait = 0 }"
    local needs = "dependencies = { { name = 'relay', discover = true, min = 1 } }"
    agents.with(front(config, needs), function(agent)
      agent:reach(function(instances) return instances.front end, "an answer")
      register(agent, "a@n")
      agent:reach(front_runs, "front to run")
      reach_text(agent, "r.txt", "a@n 4001\n")
      register(agent, "a@n", "b@n", "c@n")
      reach_text(agent, "r.txt", "a@n 4001\nb@n 4002\nc@n 4003\n")
      forget(agent)
      support.wait_until(function() return event_with(agent, "held") end, 20, "the guard")
      assert.equal("a@n 4001\nb@n 4002\nc@n 4003\n", text_of(agent, "r.txt"))
      local code, out = agent:orrery("reload")
      assert.equal(1, code)
      assert.truthy(out:find("file held: " .. path_of(agent, "r.txt"), 1, true), out)
      assert.truthy(out:find("waits for 1 instance of relay", 1, true), out)
      register(agent, "a@n", "b@n")
      reach_text(agent, "r.txt", "a@n 4001\nb@n 4002\n")
    end)
  end)

  it("is taken over by a reload though its guard held it back, which is told", function()
    local config = "['r.txt'] = { template = '%{ for r in services.relay ~}${r.port} %{ endfor }',"
      .. " maxDrop = 1, reload = 'none', wait = 0 }"
    agents.with(front(config, "dependencies = { { name = 'relay', discover = true } }"),
      function(agent)
        agent:reach(function(instances) return instances.front end, "an answer")
        register(agent, "a@n", "b@n", "c@n")
        reach_text(agent, "r.txt", "4001 4002 4003 ")
        forget(agent)
        register(agent, "a@n")
        support.wait_until(function() return event_with(agent, "held") end, 20, "the guard")
        assert.equal("4001 4002 4003 ", text_of(agent, "r.txt"))
        local code, out = agent:orrery("reload")
        assert.equal(0, code)
        assert.truthy(out:find("file written: " .. path_of(agent, "r.txt"), 1, true), out)
        assert.equal("4001 ", text_of(agent, "r.txt"))
      end)
  end)

  it("is held back by what it listed before its agent was started anew", function()
    local config = "['r.txt'] = { template = '%{ for r in services.relay ~}${r.port} %{ endfor }',"
      .. " maxDrop = 1, reload = 'none', wait = 0 }"
    local dir = agents.stack(front(config,
      "dependencies = { { name = 'relay', discover = true } }"))
    register({ dir = dir }, "a@n", "b@n", "c@n")
    agents.over(dir, function(agent)
      agent:reach(front_runs, "front to run")
      assert.equal("4001 4002 4003 ", text_of(agent, "r.txt"))
    end)
    forget { dir = dir }
    register({ dir = dir }, "a@n")
    agents.over(dir, function(agent)
      agent:reach(front_runs, "front to run with the file that is there")
      assert.equal("4001 4002 4003 ", text_of(agent, "r.txt"))
      local _, why = agent:orrery("why", "front")
      assert.truthy(why:find("2 of 3 instances of relay went at once", 1, true), why)
      assert.equal(0, (agent:orrery("reload")))
      assert.equal("4001 ", text_of(agent, "r.txt"))
    end)
    assert(core.file.remove(dir .. "/state/config/front/r.txt"))
    support.write(dir .. "/state/listed/front@" .. core.process.hostname() .. ".json", "{\"x\": 1")
    agents.over(dir, function(agent)
      agent:reach(front_runs, "front to run")
      assert.equal("4001 ", text_of(agent, "r.txt"))
    end)
  end)

  it("is written by a reload when only the file of its template has changed", function()
    local source = support.write(support.tmp() .. "/t.tmpl", "one ${name}\n")
    local config = ("['t.txt'] = { source = '%s', reload = 'none' }"):format(source)
    agents.with(front(config), function(agent)
      agent:reach(front_runs, "front to run")
      reach_text(agent, "t.txt", "one front\n")
      support.write(source, "two ${name}\n")
      local code, out = agent:orrery("reload")
      assert.equal(0, code)
      assert.equal("two front\n", text_of(agent, "t.txt"))
      assert.truthy(out:find("file written: " .. path_of(agent, "t.txt"), 1, true), out)
      assert.is_nil(out:find("nothing differs", 1, true))
      local _, json = agent:orrery("reload", "--json")
      assert.same({}, core.json.decode(json).files)
      assert.equal("nothing differs\n", select(2, agent:orrery("reload")))
    end)
  end)
end)

describe("orrery render --watch of a stack", function()
  it("shows or writes its files at every change, with or without an agent", function()
    local config = "['r.txt'] = { template = '%{ for r in services.relay ~}${r.port} %{ endfor }"
      .. "%{ for w in services.web ~}${w.status}%{ endfor }', reload = 'none' }"
    local dir = agents.stack(web("web") .. front(config,
      "dependencies = { { name = 'relay', discover = true }, 'web' }"))
    local function watch(name, ...)
      return assert(core.process.spawn { argv = { support.binary(), "-f", dir, "render", "front",
        "--watch", ... }, cwd = dir, env = support.env(), log = { path = dir .. "/" .. name } })
    end
    local shows, writes = watch "shown", watch("written", "--out", dir .. "/out")
    local function reach(text)
      support.wait_until(function()
        local path = dir .. "/out/front/r.txt"
        return support.exists(path) and support.read(path) == text
          and support.read(dir .. "/shown"):find(text, 1, true)
      end, 20, text)
    end
    reach "unknown"
    register({ dir = dir }, "a@n", "b@n")
    reach "4001 4002 unknown"
    forget { dir = dir }
    reach "unknown"
    assert.truthy(support.read(dir .. "/written"):find(dir .. "/out/front/r.txt", 1, true))
    for _, process in ipairs { shows, writes } do
      process:signal("TERM")
      assert(process:wait(10))
    end
  end)

  it("follows the agent that runs the stack", function()
    agents.with(web("web") .. front("['w.txt'] = { " .. STATUS .. "reload = 'none' }",
      "dependencies = { 'web' }"), function(agent)
      agent:reach(front_runs, "front to run")
      local watching = assert(core.process.spawn { argv = { support.binary(), "-f", agent.dir,
        "render", "w.txt", "--watch" }, cwd = agent.dir, env = support.env(),
        log = { path = agent.dir .. "/shown" } })
      local function hear(text)
        support.wait_until(function()
          return support.exists(agent.dir .. "/shown") and agent:text("shown"):find(text, 1, true)
        end, 20, text)
      end
      hear " passing"
      remove(agent, "web.up")
      hear " failing"
      watching:signal("TERM")
      assert(watching:wait(10))
    end)
  end)

  it("finds an agent that starts later, and goes on when it has ended", function()
    local dir = agents.stack(web("web") .. front("['w.txt'] = { " .. STATUS
      .. "reload = 'none' }", "dependencies = { 'web' }"))
    local watching = assert(core.process.spawn { argv = { support.binary(), "-f", dir, "render",
      "w.txt", "--watch" }, cwd = dir, env = support.env(), log = { path = dir .. "/shown" } })
    local function hear_last(text)
      support.wait_until(function()
        local shown = dir .. "/shown"
        return support.exists(shown) and support.read(shown):match(text .. "\n$")
      end, 20, text)
    end
    hear_last " unknown"
    agents.over(dir, function() hear_last " passing" end)
    hear_last " unknown"
    watching:signal("TERM")
    assert(watching:wait(50))
  end)

  it("says when there is nothing to watch", function()
    local code, _, err = support.orrery { "-f", agents.stack(web "web"), "render", "--watch" }
    assert.equal(2, code)
    assert.truthy(err:find("no service of stack 'spec' has `config` files: there is nothing to "
      .. "watch", 1, true), err)
  end)

  it("does not go with what is done once", function()
    local dir = agents.stack(front "['a.txt'] = { template = 'a' }")
    for _, option in ipairs { "--diff", "--check", "--json" } do
      local code, _, err = support.orrery { "-f", dir, "render", "--watch", option }
      assert.equal(2, code)
      assert.truthy(err:find("--watch does not go with", 1, true), err)
    end
  end)
end)
