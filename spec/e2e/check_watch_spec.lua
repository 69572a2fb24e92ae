-- `orrery check --watch`: checks that go on until a signal comes.
local support = require "support"
local core = require "orrery.core"

local json, process = core.json, core.process

local STACK = [[return { name = "look", profile = "custom", stateDir = "state", services = {
  good = { external = true, port = 1, healthCheck = { strategy = "file", path = "%s/good",
    interval = 0.05, fall = 2 } },
  bad = { external = true, port = 2, healthCheck = { strategy = "file", path = "%s/bad",
    interval = 0.05, fall = 2 } },
} }]]

-- Runs `orrery check ARGUMENTS` beside the test; what it writes goes to a file.
local function with_watch(arguments, body)
  local dir = support.tmp()
  support.write(dir .. "/stack.lua", STACK:format(dir, dir))
  support.write(dir .. "/good", "")
  local line = ("exec '%s' -f '%s' check %s >'%s/out' 2>'%s/err'"):format(support.binary(), dir,
    arguments, dir, dir)
  local running = assert(process.spawn { argv = { "sh", "-c", line }, env = support.env() })
  local ok, message = pcall(body, running, dir)
  running:kill()
  running:wait(50)
  if not ok then error(message, 0) end
end

--- None before its shell has made the file.
local function lines_of(dir)
  local lines = {}
  if not support.exists(dir .. "/out") then return lines end
  for line in support.read(dir .. "/out"):gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  return lines
end

local function wait_lines(dir, count)
  return support.wait_until(function()
    local lines = lines_of(dir)
    return #lines >= count and lines
  end, 20, count .. " lines")
end

describe("orrery check --watch", function()
  it("tells each change on a line of its own, and ends as the checks then are", function()
    with_watch("--watch", function(running, dir)
      local lines = table.concat(wait_lines(dir, 2), "\n")
      assert.truthy(lines:find("good@%S+ ready %(ready%) is passing after %S+: /"), lines)
      assert.truthy(lines:find("bad@%S+ ready %(ready%) is failing after %S+: /"), lines)
      support.write(dir .. "/bad", "")
      local third = wait_lines(dir, 3)[3]
      assert.truthy(third:find("^bad@%S+ ready %(ready%) is passing"), third)
      running:signal("INT")
      assert.same({ code = 0 }, running:wait(50))
      assert.equal("", support.read(dir .. "/err"))
    end)
  end)

  it("ends with 1 while one fails, and gives the services that are named as JSON", function()
    with_watch("bad -w --json", function(running, dir)
      local change = json.decode(wait_lines(dir, 1)[1])
      assert.equal("failing", change.state)
      assert.same({ "bad", "ready", "ready" }, { change.service, change.check, change.role })
      assert.equal(dir .. "/bad does not exist", change.message)
      assert.is_true(math.abs(core.time.now() - support.moment(change.at)) < 60)
      running:signal("TERM")
      assert.same({ code = 1 }, running:wait(50))
      assert.equal(1, #lines_of(dir))
    end)
  end)

  it("draws a table again and again on a terminal", function()
    local dir = support.tmp()
    support.write(dir .. "/stack.lua", STACK:format(dir, dir))
    support.write(dir .. "/good", "")
    local command = ("stty cols 200; exec '%s' -f '%s' check --watch"):format(support.binary(), dir)
    local running = assert(process.spawn { env = support.env(), argv = { "sh", "-c",
      ("exec script -qfc \"%s\" /dev/null >'%s/out' 2>&1 </dev/null"):format(command, dir) } })
    finally(function()
      running:kill()
      running:wait(50)
    end)
    local function shown(text) return support.read(dir .. "/out"):find(text) end
    support.wait_until(function()
      return support.exists(dir .. "/out") and shown("\27%[H\27%[J.*failing.*bad does not exist")
    end, 20, "a failing check")
    support.write(dir .. "/bad", "")
    support.wait_until(function() return shown("bad@%S+%s+ready%s+ready%s+%S*passing") end, 20,
      "a passing check")
  end)
end)
