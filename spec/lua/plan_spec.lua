require "support"
local support = require "support"
local plan = require "orrery.plan"
local stack = require "orrery.stack"

local function load(text)
  local loaded, problems = stack.load(support.write(support.tmp() .. "/stack.yaml", text))
  return loaded or error(stack.format(problems))
end

describe("plan", function()
  it("starts dependencies first, and stops them last", function()
    local built = assert(plan.build(assert(stack.load("simple-pds"))))
    assert.same({ { "database", "plc" }, { "pds" } }, built.waves)
    assert.same({ "pds", "plc", "database" }, built.stop)
    assert.equal(2, built.services.pds.wave)
  end)

  -- A sort that counts a shared dependency once too often never starts it.
  it("keeps a dependency that several share", function()
    local built = plan.build(load [[
services:
  database: {exec: [a]}
  a: {exec: [a], dependencies: [database]}
  b: {exec: [a], dependencies: [database]}
  c: {exec: [a], dependencies: [a, b, database]}
]])
    assert.same({ { "database" }, { "a", "b" }, { "c" } }, built.waves)
  end)

  it("says what each waits for, how long, and what then", function()
    local loaded = load [[
services:
  a: {exec: [a], port: 1, healthEndpoint: /}
  b: {exec: [a]}
  c: {exec: [a], oneshot: true}
  d:
    exec: [a]
    dependencyTimeout: 5
    dependencies:
      - a
      - {name: b, type: optional, timeout: 2}
      - {name: c, type: soft}
]]
    local waits = plan.build(loaded).services.d.waits
    assert.equal("needs a to be healthy, for at most 5 s, then counts as blocked", waits[1].reason)
    assert.equal("prefers b to be running, for at most 2 s, then starts degraded", waits[2].reason)
    assert.equal("starts after c, without waiting for it", waits[3].reason)
    loaded.coordination.enableHealthChecks = false
    assert.equal("running", plan.build(loaded).services.d.waits[1]["until"])
  end)

  it("starts both sides of a circular dependency together", function()
    local built = plan.build(load [[
services:
  a: {exec: [a], dependencies: [{name: b, type: circular}]}
  b: {exec: [a], dependencies: [{name: a, type: circular}]}
]])
    assert.same({ { "a", "b" } }, built.waves)
    assert.matches("starts with b", built.services.a.waits[1].reason)
  end)

  it("drops an optional edge that lies on a cycle, and says so", function()
    local built = plan.build(load [[
services:
  a: {exec: [a], dependencies: [{name: b, type: optional}]}
  b: {exec: [a], dependencies: [a]}
]])
    assert.same({ { "a" }, { "b" } }, built.waves)
    assert.is_true(built.services.a.waits[1].dropped)
    assert.matches("does not wait for b", built.text)
  end)

  it("takes only what some services need", function()
    local loaded = load [[
services:
  a: {exec: [a]}
  b: {exec: [a], dependencies: [a, {name: d, type: soft}]}
  c: {exec: [a], dependencies: [b]}
  d: {exec: [a]}
]]
    local built = plan.build(loaded, { only = { "b" } })
    assert.same({ { "a" }, { "b" } }, built.waves)
    assert.equal(1, #built.services.b.waits)
    local none, problems = plan.build(loaded, { only = { "bb" } })
    assert.is_nil(none)
    assert.matches('there is no service "bb"; did you mean "b"?', problems[1].message, 1, true)
  end)
end)
