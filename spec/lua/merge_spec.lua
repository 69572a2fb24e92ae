local support = require "support"
local merge = require "orrery.merge"
local schema = require "orrery.schema"
local secret = require "orrery.secret"
local validate = require "orrery.validate"

local function lay(base, over) return merge.lay(base, over, schema.stack) end

describe("merge", function()
  it("lays maps into each other, and replaces lists and scalars", function()
    assert.same({ domain = "b", settings = { x = 1, y = { 2 }, z = { p = 1, q = 2 } } },
      lay({ domain = "a", settings = { x = 1, y = { 1, 1 }, z = { p = 1, q = 1 } } },
        { domain = "b", settings = { y = { 2 }, z = { q = 2 } } }))
  end)

  it("shares nothing with what it was given", function()
    local base, over = { settings = { a = { 1 } } }, { settings = { b = { 2 } } }
    local result = lay(base, over)
    result.settings.a[1], result.settings.b[1] = 9, 9
    assert.same({ settings = { a = { 1 } } }, base)
    assert.same({ settings = { b = { 2 } } }, over)
  end)

  it("never looks into a secret", function()
    local value = secret.of("x")
    local result = lay({ settings = { a = { file = "y" } } }, { settings = { a = value } })
    assert.is_true(secret.is(result.settings.a))
    assert.equal("x", secret.reveal(result.settings.a))
    assert.same({ b = 1 },
      lay({ settings = { a = value } }, { settings = { a = { b = 1 } } }).settings.a)
  end)

  it("lets a layer turn back on what a lower one switched off", function()
    local result = lay({ services = { a = { enable = false } } },
      { services = { a = { enable = true } } })
    assert.same({}, merge.prune(result))
    assert.same({ services = { a = {} } }, result)
  end)

  it("says which were switched off", function()
    local result = { services = { a = { enable = false }, b = {} } }
    assert.same({ a = true }, merge.prune(result))
    assert.same({ services = { b = {} } }, result)
  end)

  it("traces every value to the highest layer that has it", function()
    local layers = {
      { value = { services = { a = { port = 1, bind = "x" } } }, label = "type",
        deeper = { services = { a = "types/a.lua" } } },
      { value = { domain = "d", services = { a = { port = 2 } } }, label = "stack.lua" },
    }
    local origin = merge.origin({ domain = "d",
      services = { a = { port = 2, bind = "x", oneshot = false } } },
      layers, validate.child)
    assert.same({ domain = "stack.lua", ["services.a.port"] = "stack.lua",
      ["services.a.bind"] = "types/a.lua", ["services.a.oneshot"] = "default" }, origin)
  end)
end)

describe("what services have in common", function()
  local dir, stack = nil, require "orrery.stack"
  before_each(function() dir = support.tmp() end)

  local function services(text)
    local path = support.write(dir .. "/stack.lua", "return { services = {" .. text .. "} }")
    return assert(stack.load(path)).services
  end

  it("is not changed by what one of them adds", function()
    for _ = 1, 2 do
      local found = services([[a = { exec = { "a" },
        variables = { key = { secret = true, generate = "hex:8" } } },
        b = { exec = { "b" } }, c = { exec = { "c" }, oneshot = true }]])
      assert.is_true(secret.is(found.a.settings.key))
      assert.same({}, found.b.settings)
      assert.equal("always", found.b.restart.policy)
      assert.equal("on-failure", found.c.restart.policy)
    end
  end)

  it("is a type, of which an external one keeps less", function()
    assert(require("orrery.core").file.mkdir(dir .. "/types", 448))
    support.write(dir .. "/types/cache.lua", [[return { exec = { "cached" }, port = 7000,
      healthCheck = { strategy = "tcp" } }]])
    local found = services([[a = { type = "cache", external = true, url = "tcp://there:7000" },
      b = { type = "cache" }, c = { type = "cache", port = 7001 }]])
    assert.is_nil(found.a.exec)
    assert.same({}, found.a.healthChecks)
    assert.equal("tcp", found.b.healthChecks.ready.strategy)
    assert.same({ 7000, 7001 }, { found.b.port, found.c.port })
  end)
end)
