-- Checks with the same options run once; each makes its own health of the verdicts.
local core = require "orrery.core"
local support = require "support"

local check, time = core.check, core.time

local dir

before_each(function() dir = support.tmp() end)

local function lines(name)
  local path = dir .. "/" .. name
  return support.exists(path) and select(2, support.read(path):gsub("\n", "")) or 0
end

--- A check that writes a line at each try, and passes while the file `ok` is there.
local function spec(more)
  local made = { strategy = "command", interval = 0.3, fall = 1,
    command = { "sh", "-c", ("echo >> %s/tries; [ -e %s/ok ]"):format(dir, dir) } }
  for key, value in pairs(more or {}) do made[key] = value end
  return made
end

local function ok(there)
  if there then support.write(dir .. "/ok", "") else support.remove_tree(dir .. "/ok") end
end

local function reach(handle, state)
  return support.wait_until(function() return handle:state().state == state end, 20, state)
end

describe("checks that are the same", function()
  it("run once for all of them", function()
    ok(true)
    local handles = {}
    for n = 1, 5 do
      handles[n] = check.start(spec())
      reach(handles[n], "passing")
    end
    local from, began = lines("tries"), time.monotonic()
    support.wait_until(function() return lines("tries") >= from + 8 end, 30, "eight tries")
    local took = time.monotonic() - began
    assert.is_true(took > 1.4, took) -- each for itself would make them within 0.6 s
    support.wait_until(function()
      for n = 2, 5 do
        if handles[n]:last().at ~= handles[1]:last().at then return false end
      end
      return true
    end, 10, "one verdict for all")
    for _, handle in ipairs(handles) do handle:close() end
  end)

  it("make each its own of a verdict: rise, fall and changes", function()
    ok(true)
    local quick <close> = check.start(spec())
    local slow <close> = check.start(spec({ fall = 3 }))
    assert.equal("passing", quick:next(50).state)
    assert.equal("passing", slow:next(50).state)
    ok(false)
    assert.equal("failing", quick:next(50).state)
    assert.equal("passing", slow:state().state)
    assert.equal("failing", slow:next(50).state)
    ok(true)
    assert.equal("passing", quick:next(50).state)
    assert.equal("passing", slow:next(50).state)
  end)

  it("take no verdict from before they were there", function()
    ok(true)
    local old <close> = check.start(spec({ interval = 600 }))
    reach(old, "passing")
    ok(false)
    local new <close> = check.start(spec({ interval = 600 }))
    assert.equal("failing", new:next(50).state)
    assert.equal("passing", old:state().state) -- its turn is far away
  end)

  it("go on when the one that tried is closed", function()
    ok(true)
    local command = { "sh", "-c", ("echo >> %s/tries; sleep 0.2; [ -e %s/ok ]"):format(dir, dir) }
    local stays <close> = check.start(spec({ command = command }))
    reach(stays, "passing")
    for _ = 1, 6 do
      local goes <close> = check.start(spec({ command = command }))
      reach(goes, "passing")
      local seen = lines("tries")
      support.wait_until(function() return lines("tries") > seen end, 20, "a try")
      goes:close()
      local at = stays:last().at
      support.wait_until(function() return stays:last().at > at end, 20, "a verdict")
    end
  end)

  it("are not those with another option", function()
    ok(true)
    local a <close> = check.start(spec())
    local b <close> = check.start(spec({ timeout = 7 }))
    reach(a, "passing")
    reach(b, "passing")
    local apart = 0
    for _ = 1, 4 do
      local at = a:last().at
      support.wait_until(function() return a:last().at > at end, 20, "a verdict")
      apart = apart + (a:last().at == b:last().at and 0 or 1)
    end
    assert.is_true(apart > 0, "every verdict is that of the other")
  end)
end)
