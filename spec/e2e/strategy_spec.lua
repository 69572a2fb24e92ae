-- Coordination strategies of a stack's own: strategies/<name>.lua decides what starts, and when.
local agents = require "support.agents"
local core = require "orrery.core"
local orrery = require "orrery"
local support = require "support"

local SLEEP = "exec sleep 600"

--- A folder with a stack of these services and its strategy "own".
local function folder(text, services, options)
  local dir = agents.stack(services, ("coordination = { strategy = 'own', dependencyTimeout = 1, "
    .. "%s },"):format(options or ""))
  assert(core.file.mkdir(dir .. "/strategies", "0755"))
  support.write(dir .. "/strategies/own.lua", text)
  return dir
end

local function with(text, services, options, body)
  local dir = folder(text, services, options)
  local s <close> = assert(orrery.stack.load(dir))
  assert(s:up { wait = false })
  body(s, dir)
  assert(s:down { timeout = 60 })
end

local function why(s, name) return assert(s:why(name)).instances[1].text end

local function reaches(s, name, pattern)
  support.wait_until(function() return why(s, name):find(pattern) end, 20, pattern)
end

describe("a strategy of a stack's own", function()
  it("is asked before each start, may wait, and is shown by why", function()
    with([[return { options = { gate = "" }, retry = 0.1,
      may_start = function(ctx, instance)
        ctx.time.sleep(0.01)
        if instance.service ~= "app" then return true end
        local got = ctx.process.run { "test", "-e", ctx.options.gate }
        return got.code == 0, "the gate is closed for " .. instance.id
      end }]], agents.service("db", SLEEP) .. agents.service("app", SLEEP,
      "dependencies = { 'db' }"), "options = { gate = 'DIR/gate' }", function(s, dir)
      assert(s:wait("db", { state = "running", timeout = 60 }))
      reaches(s, "app", "waits for the coordination strategy: own: the gate is closed for app@")
      support.wait_until(function() return s:service("app"):status().state == "blocked" end, 20)
      support.write(dir .. "/gate", "")
      assert(s:wait("app", { state = "running", timeout = 60 }))
      assert(os.remove(dir .. "/gate"))
      assert(s:service("app"):restart({ timeout = 1 }) == nil)
      reaches(s, "app", "the gate is closed")
      assert.equal("running", s:service("db"):status().state)
    end)
  end)

  it("says who decides; another node's word holds back every start", function()
    with([[return { retry = 0.1, decides = function(ctx)
        local got = ctx.process.run { "cat", ctx.options.file }
        return got.code == 0 and got.stdout ~= "" and got.stdout or nil, "nobody was elected"
      end, options = { file = "" } }]], agents.service("web", SLEEP),
      "options = { file = 'DIR/leader' }", function(s, dir)
        reaches(s, "web", "own: nobody was elected")
        support.write(dir .. "/leader", "other")
        reaches(s, "web", "own: other decides, not this node")
        support.write(dir .. "/leader", s.config.node)
        assert(s:wait("web", { state = "running", timeout = 60 }))
      end)
  end)

  it("that raises, hangs or computes for ever holds up the start and nothing else", function()
    with([[return { retry = 0.1, may_start = function(ctx, instance)
      if instance.service == "raises" then return ctx.nothing.here end
      if instance.service == "runs" then while true do end end
      if instance.service == "hangs" then ctx.time.sleep(3600) end
      return true
    end }]], agents.service("raises", SLEEP) .. agents.service("runs", SLEEP)
      .. agents.service("hangs", SLEEP) .. agents.service("web", SLEEP), "", function(s, dir)
        assert(s:wait("web", { state = "running", timeout = 60 }))
        support.wait_until(function() -- the latter after ten seconds, and from then on
          local text = why(s, "hangs")
          return text:find("own: it is being asked", 1, true)
            or text:find("may_start() was still running after 10 s, and was ended", 1, true)
        end, 20, "hangs to be asked")
        reaches(s, "raises", dir:gsub("%p", "%%%0") .. "/strategies/own.lua:2: attempt to index")
        reaches(s, "runs", "own.lua:3: ran for a second without waiting")
      end)
  end)

  it("hears of a member that is gone", function()
    with([[return { interval = 0.1, options = { file = "" },
      members = function(ctx)
        local list, file = {}, ctx.options.file
        local text = ctx.process.run({ "cat", file }).stdout
        for name in text:gmatch("%S+") do list[#list + 1] = name end
        ctx.process.run { argv = { "tee", file .. ".seen" }, input = text }
        return list
      end,
      lost = function(ctx, node)
        ctx.process.run { "sh", "-c", 'echo "$0" > "$1"', node, ctx.options.file .. ".lost" }
      end }]], agents.service("web", SLEEP), "options = { file = 'DIR/members' }",
      function(s, dir)
        support.write(dir .. "/members", "a b c")
        assert(s:wait("web", { state = "running", timeout = 60 }))
        support.wait_until(function() -- one look at all three
          return support.exists(dir .. "/members.seen")
            and support.read(dir .. "/members.seen") == "a b c"
        end, 20)
        support.write(dir .. "/members", "a c")
        support.wait_until(function() return support.exists(dir .. "/members.lost") end, 20)
        support.wait_until(function() return support.read(dir .. "/members.lost") == "b\n" end)
      end)
  end)
end)

describe("a stack whose strategy is wrong", function()
  local function problem(text, options)
    local dir = folder(text, agents.service("web", SLEEP), options)
    local s, message = orrery.stack.load(dir)
    assert.is_nil(s)
    return message, dir
  end

  it("is told its file and line, or what it lacks", function()
    local message, dir = problem("return {\n  may_start = \n}")
    assert.matches(dir .. "/strategies/own.lua", message, 1, true)
    assert.matches("a strategy has at least one of decides, members, may_start, lost",
      (problem "return {}"), 1, true)
    assert.matches("may_start: expected a function, got a boolean",
      (problem "return { may_start = true }"), 1, true)
    assert.matches('coordination.options.gats: unknown key; did you mean "gate"?',
      (problem("return { options = { gate = 1 }, decides = function() end }",
        "options = { gats = 2 }")), 1, true)
  end)

  it("is told the nearest name", function()
    local s, message = orrery.stack.load { services = { a = { exec = { "true" } } },
      coordination = { strategy = "mehs" } }
    assert.is_nil(s)
    assert.equal('coordination.strategy: "mehs" is not one of hub-spoke, leader-follower, '
      .. 'peer-to-peer, mesh, nor a file of strategies/; did you mean "mesh"?', message)
  end)
end)
