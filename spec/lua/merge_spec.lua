require "support"
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
