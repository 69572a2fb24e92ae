-- profiles/examples: every file of it, run against real processes.
local core = require "orrery.core"
local orrery = require "orrery"
local support = require "support"

local EXAMPLES = support.root .. "/profiles/examples"

--- A copy of the examples whose stack runs as the user of the test, at free ports, below the copy.
local function copy()
  local dir = support.tmp()
  for _, name in ipairs { "types", "checks", "strategies" } do
    assert(core.file.copy_tree(EXAMPLES .. "/" .. name, dir .. "/" .. name))
  end
  local user = core.process.user().name
  local text = support.read(EXAMPLES .. "/stack.lua")
    :gsub('name = "examples",', ('%%0 stateDir = %q,'):format(dir .. "/state"))
    :gsub("port = %d+", function() return ("user = %q, port = %d"):format(user,
      support.free_port()) end)
    :gsub('exec = { "sleep"', ('user = %q, %%0'):format(user))
  support.write(dir .. "/stack.lua", text)
  return dir
end

local function script(name, arguments, env)
  return support.run({ support.binary(), "script", EXAMPLES .. "/" .. name,
    table.unpack(arguments) }, { timeout = 90, env = env })
end

--- Runs body(s, dir) and takes the stack down.
local function with(body)
  local dir = copy()
  local s = assert(orrery.stack.load(dir))
  local ok, problem = xpcall(body, debug.traceback, s, dir)
  assert(s:down { timeout = 60 })
  if not ok then error(problem, 0) end
end

local function live(s)
  local discovery <close> = assert(s:discovery())
  local record = assert(discovery:lookup "site")[1]
  return record and record.meta.version, record and record.port
end

local function title(port)
  local answer = assert(orrery.http.get(("http://127.0.0.1:%d/title.txt"):format(port)))
  return answer.body:gsub("%s+$", "")
end

describe("the example of a blue/green switch", function()
  it("starts the other version, makes it live, then stops the old one; readers follow", function()
    with(function(s, dir)
      local env = { SWITCH_PAUSE = "0.1" }
      local code, out, err = script("switch.lua", { dir }, env)
      assert.equal("", err)
      assert.equal("blue is live\n", out)
      assert.equal(0, code)
      local version, blue = live(s)
      assert.same({ "blue", "blue" }, { version, (title(blue)) })
      local file = dir .. "/state/config/reader/live.env"
      local function reader_has(port)
        support.wait_until(function()
          return support.exists(file) and support.read(file) == ("SITE_PORT=%d\n"):format(port)
        end, 20, "the reader to be told of port " .. port)
      end
      reader_has(blue)
      code, out = script("switch.lua", { dir }, env)
      assert.equal("green is live\nblue is stopped\n", out)
      assert.equal(0, code)
      local green
      version, green = live(s)
      assert.same({ "green", "green" }, { version, (title(green)) })
      reader_has(green)
      assert.equal("stopped", s:service("blue"):status().state)
    end)
  end)

  it("changes nothing when the new version is not healthy", function()
    with(function(s, dir)
      assert.equal(0, (script("switch.lua", { dir }, { SWITCH_PAUSE = "0" })))
      assert(s:down { timeout = 60 })
      local text = support.read(dir .. "/stack.lua"):gsub('title = "green"',
        'title = "green", root = "/nowhere"')
      support.write(dir .. "/stack.lua", text)
      s = assert(orrery.stack.load(dir))
      local code, _, err = support.orrery { "-f", dir, "up", "-d", "blue" }
      assert.equal(0, code, err)
      code, _, err = script("switch.lua", { dir })
      assert.equal(1, code)
      assert.matches("green does not become healthy, blue stays live: ", err, 1, true)
      assert.equal("blue", (live(s)))
      assert.equal("blue", (title(select(2, live(s)))))
      assert.equal("stopped", s:service("green"):status().state)
    end)
  end)
end)

describe("the example of a quorum", function()
  --- A real server that answers a relay's health path.
  local function relay()
    local dir, port = support.tmp(), support.free_port()
    assert(core.file.mkdir(dir .. "/xrpc", "0755"))
    support.write(dir .. "/xrpc/_health", "{}")
    local server = assert(core.process.spawn { argv = { "python3", "-m", "http.server",
      tostring(port), "--bind", "127.0.0.1", "-d", dir }, env = core.process.environ() })
    return ("http://127.0.0.1:%d"):format(port), server
  end

  local function stop(server)
    server:signal("TERM")
    server:wait()
  end

  it("waits until enough relays are healthy, then brings the stack up", function()
    with(function(s, dir)
      local one, first = relay()
      local nowhere = ("http://127.0.0.1:%d"):format(support.free_port())
      local code, _, err = script("quorum.lua", { "2", dir, one, nowhere },
        { QUORUM_TIMEOUT = "2" })
      assert.equal(1, code)
      assert.matches("no quorum of relays: timed out after 2 s", err, 1, true)
      assert.equal("refused", select(3, s:status()))
      local two, second = relay()
      local out
      code, out, err = script("quorum.lua", { "2", dir, one, nowhere, two })
      stop(first)
      stop(second)
      assert.equal("", err)
      assert.equal(0, code)
      assert.matches("2 of 2: .*the stack is up\n$", out)
      assert.is_true(s:status().good)
    end)
  end)

  it("refuses what it cannot reach", function()
    local code, _, err = script("quorum.lua", { "2", ".", "http://127.0.0.1:1" })
    assert.equal(1, code)
    assert.matches("usage: quorum.lua COUNT STACK URL", err, 1, true)
  end)
end)

describe("the example of a strategy", function()
  it("starts one at a time, the next when that one is ready", function()
    with(function(s)
      local _ <close> = s
      assert(s:up())
      local starting, most, seen = 0, 0, 0
      for event in assert(s:events { follow = false }) do
        if event.type == "state" and event.to == "starting" then
          starting, seen = starting + 1, seen + 1
        end
        if event.type == "state" and event.from == "starting" then starting = starting - 1 end
        most = math.max(most, starting)
      end
      assert.same({ 3, 1 }, { seen, most })
    end)
  end)
end)

describe("the examples of a check and a type", function()
  it("notice when the right server says the wrong thing", function()
    with(function(s, dir)
      local _ <close> = s
      assert(s:up { services = "blue" })
      assert.equal("passing", s:service("blue"):status().health)
      support.write(dir .. "/state/data/blue/title.txt", "red")
      support.wait_until(function() return s:service("blue"):status().health == "failing" end, 30)
      local verdict = s:service("blue"):check()[1]
      assert.is_false(verdict.ok)
      assert.matches('/title.txt does not say "blue"', verdict.message, 1, true)
    end)
  end)

  it("are right by themselves", function()
    local code, out = support.orrery { "-f", EXAMPLES, "validate" }
    assert.equal(0, code, out)
  end)

  it("and so is the strategy that the README shows", function()
    local dir = copy()
    local text = support.read(EXAMPLES .. "/README.md"):match("```lua\n(.-)```")
    support.write(dir .. "/strategies/night.lua", text)
    local stack = support.read(dir .. "/stack.lua"):gsub('"one%-at%-a%-time"', '"night", '
      .. "options = { from = 0, to = 0 }")
    support.write(dir .. "/stack.lua", stack)
    local s <close> = assert(orrery.stack.load(dir))
    assert(s:up { wait = false })
    support.wait_until(function()
      return s:why("blue").instances[1].text:find("night: blue starts in the daytime", 1, true)
    end, 20)
    assert(s:down())
  end)
end)
