-- What the command line writes, and how it reads --set.
local args = require "orrery.cli.args"
local present = require "orrery.cli.present"
local support = require "support"
local ui = require "orrery.cli.ui"

describe("ui", function()
  it("shows durations as short as a glance needs", function()
    for seconds, text in pairs { [0] = "0ms", [0.0426] = "43ms", [0.9999] = "1.0s", [4.24] = "4.2s",
      [9.96] = "10s", [59.6] = "1m00s", [185] = "3m05s", [7500] = "2h05m", [100000] = "1d3h" } do
      assert.equal(text, ui.duration(seconds))
    end
  end)

  it("aligns columns by characters, and keeps control characters from the terminal", function()
    assert.same({ "NAME   VALUE", "é      1", "three  a b" },
      ui.table({ "NAME", "VALUE" }, { { "é", 1 }, { "three", "a\27b" } }))
  end)

  it("cuts text to a width", function()
    assert.equal("abc", ui.fit("abc", 3))
    assert.equal("ab…", ui.fit("abcd", 3))
    assert.equal("éé…", ui.fit("éééé", 3))
  end)

  it("has colour on a terminal, and none with NO_COLOR", function()
    local command = support.binary() .. " --help"
    local function on_terminal(env)
      env.TERM = "xterm"
      local _, out = support.run({ "script", "-qec", command, "/dev/null" }, { env = env })
      return out
    end
    assert.truthy(on_terminal({}):find("\27[1m", 1, true))
    assert.falsy(on_terminal({ NO_COLOR = "1" }):find("\27[", 1, true))
  end)
end)

describe("--set", function()
  it("reads numbers, booleans and JSON as such, and the rest as text", function()
    local set = args.settings { "a=1", "b=1.5", "c=true", "d=0644", "e=0x10", "f=[1,2]",
      'g={"x":null}', "h=", "i=-3", "j=1.2.3", 'k="7"', "l=a=b" }
    assert.equal(1, set.a)
    assert.equal("integer", math.type(set.a))
    assert.equal(1.5, set.b)
    assert.is_true(set.c)
    assert.equal("0644", set.d)
    assert.equal("0x10", set.e)
    assert.same({ 1, 2 }, set.f)
    assert.is_table(set.g)
    assert.equal("", set.h)
    assert.equal(-3, set.i)
    assert.equal("1.2.3", set.j)
    assert.equal("7", set.k)
    assert.equal("a=b", set.l)
  end)
end)

describe("a status table", function()
  local function state(instance)
    instance.id = "a@n"
    return { services = { { name = "a", instances = { instance } } } }
  end

  it("has no reason for what is well", function()
    local lines = present.table(state { state = "running", health = "passing", good = true,
      flags = {}, reason = "ready", pid = 7 })
    assert.same({ "SERVICE  STATE    HEALTH   PID", "a        running  passing  7" }, lines)
  end)

  it("has the failing check's words before the reason of the state", function()
    local lines = present.table(state { state = "running", health = "failing", good = false,
      flags = { "impaired" }, reason = "ready", message = "status 500" })
    assert.truthy(lines[2]:find("impaired: status 500", 1, true), lines[2])
    lines = present.table(state { state = "backoff", health = "unknown", good = false, flags = {},
      reason = "exited with code 3" })
    assert.truthy(lines[2]:find("exited with code 3", 1, true), lines[2])
  end)
end)
