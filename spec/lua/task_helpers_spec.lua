-- task.all, task.race, task.any and task.timeout: who waits, who is cancelled, what comes back.
local orrery = require "orrery"
local support = require "support"

local task, time = orrery.task, orrery.time
assert(support)

--- A function that sleeps and then notes that it was closed, however it ended.
local function sleeper(notes, name, seconds, ...)
  local results = table.pack(...)
  return function()
    local _ <close> = setmetatable({}, { __close = function() notes[#notes + 1] = name end })
    time.sleep(seconds)
    return table.unpack(results, 1, results.n)
  end
end

describe("task.all", function()
  it("gives the first result of each, in their order", function()
    local notes = {}
    assert.same({ n = 3, "a", nil, "c" }, task.all {
      sleeper(notes, "a", 0.05, "a"), sleeper(notes, "b", 0), sleeper(notes, "c", 0.01, "c", "d"),
    })
    assert.same({ "b", "c", "a" }, notes)
    assert.same({ n = 0 }, task.all {})
  end)

  it("ends the others when one raises, and tells where", function()
    local notes = {}
    local value, message, code = task.all {
      sleeper(notes, "slow", 60),
      function() time.sleep(0.01) error("no luck") end,
    }
    assert.is_nil(value)
    assert.matches("task_helpers_spec.lua:%d+: no luck", message)
    assert.equal("failed", code)
    assert.same({ "slow" }, notes)
  end)

  it("ends the others when one fails with nil and a message", function()
    local notes = {}
    local value, message, code = task.all {
      sleeper(notes, "slow", 60), function() return nil, "nobody there", "refused" end,
    }
    assert.is_nil(value)
    assert.equal("nobody there", message)
    assert.equal("refused", code)
    assert.same({ "slow" }, notes)
  end)

  it("is cancelled with who waits for it, and so are its tasks", function()
    local notes = {}
    local running = task.spawn(function()
      return task.all { sleeper(notes, "a", 60), sleeper(notes, "b", 60) }
    end)
    time.sleep(0.01)
    running:cancel()
    assert.equal("cancelled", select(2, running:join(50)))
    support.wait_until(function() return #notes == 2 end)
  end)

  it("stops one that computes for ever, and waits for no answer of it", function()
    local value, message = task.all { function() while true do end end }
    assert.is_nil(value)
    assert.matches("ran for a second without waiting", message)
  end)
end)

describe("task.race", function()
  it("gives all results of the first, and ends the rest", function()
    local notes = {}
    assert.same({ "quick", 2 }, { task.race { sleeper(notes, "slow", 60),
      sleeper(notes, "quick", 0.01, "quick", 2) } })
    assert.same({ "quick", "slow" }, notes)
  end)

  it("takes a failure for an end", function()
    local value, message = task.race { function() return nil, "no" end,
      function() time.sleep(60) end }
    assert.is_nil(value)
    assert.equal("no", message)
  end)

  it("raises for nonsense", function()
    assert.has_error(function() task.race {} end, "task.race: the list is empty")
    assert.has_error(function() task.all(3) end,
      "task.all: expected a list of functions, got a number")
    assert.has_error(function() task.all { 3 } end, "task.all: expected a list of functions")
  end)
end)

describe("task.any", function()
  it("goes past failures, and tells the last when there are only failures", function()
    assert.equal("here", task.any {
      function() return nil, "refused" end, function() error "no" end,
      function() time.sleep(0.02) return "here" end, function() time.sleep(60) end,
    })
    local value, message = task.any { function() return nil, "first" end,
      function() time.sleep(0.02) return nil, "last" end }
    assert.is_nil(value)
    assert.equal("last", message)
  end)
end)

describe("task.timeout", function()
  it("gives what the function gives", function()
    assert.same({ 1, 2 }, { task.timeout(10, function(a, b) return a, b end, 1, 2) })
    assert.same({ nil, "no", "timeout" },
      { task.timeout(10, function() return nil, "no", "timeout" end) })
  end)

  it("ends it when the time is over", function()
    local notes = {}
    local value, message, code = task.timeout(0.02, sleeper(notes, "late", 60))
    assert.is_nil(value)
    assert.equal("timed out after 0.02 s", message)
    assert.equal("timeout", code)
    assert.same({ "late" }, notes)
  end)
end)
