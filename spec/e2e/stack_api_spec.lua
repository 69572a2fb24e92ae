-- orrery.stack: a script brings a stack of real processes up, handles it and takes it down.
local agents = require "support.agents"
local orrery = require "orrery"
local support = require "support"

local SLEEP = "exec sleep 600"

--- A loaded stack of these services, in a folder of its own.
local function load(services, options)
  return assert(orrery.stack.load(agents.stack(services), options))
end

--- Runs body(s) and takes the stack down, whatever happens.
local function with(services, body)
  local s <close> = load(services)
  body(s)
  assert(s:down { timeout = 60 })
end

describe("a stack in a script", function()
  it("tells every problem of its file, with a code", function()
    local dir = support.tmp()
    support.write(dir .. "/stack.lua", "return { services = { a = { exec = { 'true' }, prot = 1 } "
      .. "}, domian = 'x' }")
    local s, message, code, problems = orrery.stack.load(dir)
    assert.is_nil(s)
    assert.equal("invalid", code)
    assert.equal(2, #problems)
    assert.matches('domian: unknown key; did you mean "domain"?', message, 1, true)
    assert.matches('services.a.prot: unknown key; did you mean "port"?', message, 1, true)
    s, message, code = orrery.stack.load("/nowhere/stack.lua")
    assert.is_nil(s)
    assert.equal("/nowhere/stack.lua: there is no such stack file", message)
    assert.equal("invalid", code)
  end)

  it("may be a table, with profile and --set", function()
    local s = assert(orrery.stack.load({ profile = "simple-pds", domain = "pds.localhost" },
      { set = { ["services.pds.port"] = 3333 } }))
    assert.equal("simple-pds", s.name)
    assert.equal(3333, s:service("pds").config.port)
    assert.same({ "database", "plc", "pds" }, s:plan().order)
    assert.same({ "database" }, s:plan({ services = "database" }).order)
    assert.is_true(s:validate())
    assert.equal(3, #s:graph():nodes())
  end)

  it("is a table of the script's own, in which no two services share a default", function()
    local s = load([[a = { exec = { "true" } }, b = { exec = { "true" } }]])
    local a, b = s.config.services.a, s.config.services.b
    a.restart.max = 77
    assert.not_equal(77, b.restart.max)
    assert.not_equal(77, load([[c = { exec = { "true" } }]]).config.services.c.restart.max)
  end)

  it("is validated with its templates", function()
    local value, message, code = orrery.stack.validate {
      services = { a = { exec = { "true" }, env = { X = "${nothing}" } } } }
    assert.is_nil(value)
    assert.matches("nothing", message)
    assert.equal("invalid", code)
  end)

  it("raises for misuse, with the nearest name", function()
    local s = load(agents.service("web", SLEEP))
    assert.error_matches(function() s:service("wbe") end,
      'there is no service "wbe" in stack .-; did you mean "web"?')
    assert.error_matches(function() s:up { timout = 3 } end,
      'stack:up: unknown option "timout"; did you mean "timeout"?')
    assert.error_matches(function() s:wait("web", { state = "well" }) end,
      'state: "well" is not one of healthy, running, stopped')
  end)

  it("that does not run says so", function()
    local s = load(agents.service("web", SLEEP))
    local state, message, code = s:status()
    assert.is_nil(state)
    assert.matches("no agent is running for stack 'spec'", message)
    assert.equal("refused", code)
    assert.is_true(s:down())
    assert.is_true(s:wait("web", { state = "stopped" }))
    assert.equal("refused", select(3, s:restart("web")))
  end)

  it("goes up, is handled and goes down, in the background of the script", function()
    with(agents.service("web", SLEEP) .. agents.service("app", SLEEP, "dependencies = { 'web' }"),
      function(s)
        local state = assert(s:up())
        assert.is_true(state.good)
        local before = assert(s:service("web"):status()).instances[1].pid
        assert(s:service("web"):restart())
        local web = assert(s:service("web"):status())
        assert.equal("running", web.state)
        assert.are_not.equal(before, web.instances[1].pid)
        assert(s:service("web"):stop())
        assert.equal("stopped", s:service("app"):status().state) -- it requires web
        assert.is_true(s:wait({ "web", "app" }, { state = "stopped" }).seq > state.seq)
        assert(s:start("app"))
        assert(s:wait("app", { state = "running", timeout = 60 }))
        assert.is_true(s:why("app").fine)
      end)
  end)

  it("gives its events, those that were and those to come", function()
    with(agents.service("web", SLEEP), function(s)
      assert(s:up())
      local seen = {}
      for event in assert(s:events { follow = false }) do
        if event.type == "state" then seen[#seen + 1] = event.to end
      end
      assert.same({ "waiting", "starting", "running" }, seen)
      local watcher = orrery.task.spawn(function()
        for event in assert(s:events()) do
          if event.to == "stopped" then return event.instance end
        end
      end)
      assert(s:stop("web"))
      assert.matches("^web@", watcher:join(50))
    end)
  end)

  it("says who is not well", function()
    local s <close> = load(agents.service("bad", "", "exec = { '/nowhere/x' }, "
      .. "restart = { policy = 'never' }"))
    local state, message, code = s:up()
    assert.is_nil(state)
    assert.matches("up: bad@.* is failed.*/nowhere/x", message)
    assert.equal("failed", code)
    assert.equal("failed", select(3, s:wait("bad", { timeout = 10 })))
    assert(s:down())
  end)

  it("waits no longer than it is told", function()
    with(agents.service("slow", SLEEP, "healthCheck = { strategy = 'file', path = 'DIR/no', "
      .. "interval = 0.1 }"), function(s)
      assert(s:up { wait = false })
      local state, message, code = s:wait("slow", { timeout = 0.3 })
      assert.is_nil(state)
      assert.matches("not healthy within 0.3 s: slow@.* is %a+ing", message)
      assert.equal("timeout", code)
    end)
  end)

  it("runs its health checks, and takes over a changed file", function()
    with(agents.service("web", SLEEP, "healthCheck = { strategy = 'file', path = 'DIR' }"),
      function(s)
        assert.same({ true, "ready" }, { s:check()[1].ok, s:check("web")[1].check })
        assert(s:up())
        local text = support.read(s.file):gsub("services = {",
          "services = {" .. agents.service("more", SLEEP):gsub("DIR", s.dir), 1)
        support.write(s.file, text)
        assert.same({ "more" }, assert(s:reload()).services)
        local other = assert(orrery.stack.load(s.file))
        assert(other:wait("more", { state = "running", timeout = 60 }))
      end)
  end)

  it("outlives a script that detaches it", function()
    local dir = agents.stack(agents.service("web", SLEEP))
    local script = support.write(dir .. "/up.lua", ([[
      local orrery = require "orrery"
      local s = assert(orrery.stack.load(%q))
      print(assert(s:up { detach = true }).agent.pid)
    ]]):format(dir))
    local code, out, err = support.orrery { "script", script, timeout = 60 }
    assert.equal(0, code, err)
    local s = assert(orrery.stack.load(dir))
    local state = assert(s:status())
    assert.equal(tonumber(out), state.agent.pid)
    assert.is_true(state.good)
    assert(s:down())
    support.wait_gone(state.agent.pid)
  end)

  it("leaves no process behind when its script ends", function()
    local dir = agents.stack(agents.service("web", SLEEP))
    local script = support.write(dir .. "/up.lua", ([[
      local orrery = require "orrery"
      local s = assert(orrery.stack.load(%q))
      print(assert(s:up()).services[1].instances[1].pid)
      return 5
    ]]):format(dir))
    local code, out = support.orrery { "script", script, timeout = 60 }
    assert.equal(5, code)
    support.wait_gone(assert(tonumber(out)))
  end)
end)
