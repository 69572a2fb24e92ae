local support = require "support"
local stacks = require "support.stacks"

local EXEC = stacks.EXEC
local dir

before_each(function() dir = support.tmp() end)

local function good(...) return stacks.good(dir, ...) end
local function only(...) return stacks.only(dir, ...) end

describe("the folders of a stack", function()
  it("lie where stateDir says", function()
    local loaded = good [[return { stateDir = 'st', discovery = { filePath = 'disc' },
      services = { a = { exec = {'x'} } } }]]
    local dirs = loaded.dirs
    assert.equal(dir .. "/st", dirs.state)
    assert.equal(dir .. "/st/run", dirs.run)
    assert.equal(dir .. "/st/log", dirs.logs)
    assert.equal(dir .. "/disc", dirs.discovery)
  end)

  it("are not so deep that no socket fits", function()
    assert.matches("stateDir: .* is longer than the 107 bytes",
      only("return { stateDir = '/" .. ("x"):rep(100) .. "', services = { a = { " .. EXEC ..
        " } } }"))
  end)

  it("name this node and its instances", function()
    local loaded = good("return { services = { a = { " .. EXEC ..
      ", port = 8000, replicas = 2 } } }", { node = "edge" })
    assert.equal("edge", loaded.node)
    assert.same({ "a@edge", "a-2@edge" }, loaded.services.a.instances)
    assert.equal("127.0.0.1", loaded.services.a.bind)
    loaded = good([[return { nodes = { edge = { address = "127.0.0.7" } },
      services = { a = { exec = {"x"} } } }]], { node = "edge" })
    assert.equal("127.0.0.7", loaded.services.a.bind)
    assert.equal("127.0.0.7", loaded.services.a.address)
    assert.matches('this machine is "edge", and nodes has only other',
      only("return { nodes = { other = {} }, services = { a = { " .. EXEC .. " } } }",
        { node = "edge" }))
  end)
end)
