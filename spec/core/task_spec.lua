local support = require "support"
local core = require "orrery.core"
local task, time = core.task, core.time

describe("a task", function()
  it("runs when the caller waits, and gives its results to who joins it", function()
    local log = {}
    local t = task.spawn(function(a, b) log[#log + 1] = "ran" return b, a end, 1, 2)
    assert.same({}, log)
    local b, a = t:join()
    assert.same({ 2, 1 }, { b, a })
    assert.is_true(t:done())
    assert.same({ 2, 1 }, { t:join() })
  end)

  it("wakes in order of time", function()
    local order, tasks = {}, {}
    for n = 3, 1, -1 do
      tasks[n] = task.spawn(function() time.sleep(0.02 * n) order[#order + 1] = n end)
    end
    for n = 1, 3 do tasks[n]:join() end
    assert.same({ 1, 2, 3 }, order)
  end)

  it("hands its error to who waits for it", function()
    local t = task.spawn(function() time.sleep(0.001) error("boom", 0) end)
    local value, message, code = t:join()
    assert.is_nil(value)
    assert.equals("boom", message)
    assert.equals("failed", code)
  end)

  it("may raise any value", function()
    local joined = {}
    for _, text in ipairs { "fails", "is no string" } do
      local value = setmetatable({}, { __tostring = function()
        return text == "fails" and error("no") or {}
      end })
      local t = task.spawn(function() time.sleep(0.001) error(value) end)
      joined[#joined + 1] = select(2, t:join())
    end
    local said = "an error value whose __tostring fails"
    assert.same({ said, said }, joined)
  end)

  it("cannot wait where C code has called it, and is not disturbed by having tried", function()
    local t = task.spawn(function()
      local ok, message = pcall(table.sort, { 3, 2, 1 }, function(a, b)
        time.sleep(0.01)
        return a < b
      end)
      local began = time.monotonic()
      time.sleep(0.1)
      return ok, message, time.monotonic() - began
    end)
    local ok, message, slept = t:join()
    assert.is_false(ok)
    assert.truthy(message:find("cannot wait here", 1, true), message)
    assert.is_true(slept >= 0.1, slept)
  end)

  it("can be joined with a timeout, by several", function()
    local t = task.spawn(function() time.sleep(0.05) return "x" end)
    local value, message, code = t:join(0.001)
    assert.same({ nil, "timed out", "timeout" }, { value, message, code })
    local other = task.spawn(function() return t:join() end)
    assert.equals("x", t:join())
    assert.equals("x", other:join())
  end)

  it("unwinds when cancelled, closes its variables, and cannot swallow it", function()
    local closed, first, again
    local t = task.spawn(function()
      local guard <close> = setmetatable({}, { __close = function() closed = true end })
      first = select(2, pcall(time.sleep, 100))
      again = select(2, pcall(time.sleep, 0))
      time.sleep(0)
      return guard
    end)
    time.sleep(0)
    t:cancel()
    t:cancel()
    local value, message = t:join()
    assert.is_nil(value)
    assert.equals("cancelled", message)
    assert.is_true(closed)
    assert.same({ "cancelled", "cancelled" }, { first, again })
  end)

  it("can be cancelled while ready", function()
    local ran = false
    local t = task.spawn(function() time.sleep(0) ran = true end)
    t:cancel()
    t:join()
    assert.is_false(ran)
  end)

  it("may wait across pcall and metamethods, but not in a coroutine of its own", function()
    local slow = setmetatable({}, { __index = function(_, key)
      time.sleep(0)
      return key .. "!"
    end })
    assert.equals("x!", slow.x)
    local t = task.spawn(function()
      assert(pcall(time.sleep, 0.001))
      local inner = coroutine.create(function() time.sleep(1) end)
      return slow.y, select(2, coroutine.resume(inner))
    end)
    local y, message = t:join()
    assert.equals("y!", y)
    assert.matches("cannot wait here", message)
  end)

  it("is stopped when it runs a second without waiting, even inside pcall", function()
    local t = task.spawn(function()
      pcall(function() while true do end end)
      while true do end
    end)
    local _, message = t:join()
    assert.matches("without waiting", message)
  end)

  it("survives thousands of waits", function()
    local t = task.spawn(function() for _ = 1, 4000 do time.sleep(0) end return "done" end)
    assert.equals("done", t:join())
    collectgarbage()
  end)

  it("leaves the loop its turns while many others are ready", function()
    local path, seen, tasks = support.tmp() .. "/started", false, {}
    tasks[1] = task.spawn(core.process.run, { argv = { "touch", path } })
    for n = 2, 500 do
      tasks[n] = task.spawn(function()
        local ends = os.clock() + 0.005
        seen = seen or core.file.stat(path) ~= nil
        repeat until seen or os.clock() >= ends
      end)
    end
    for _, each in ipairs(tasks) do each:join() end
    assert.is_true(seen)
  end)

  it("leaves it them, though each of the others is short", function()
    local path, seen, tasks = support.tmp() .. "/started", false, {}
    tasks[1] = task.spawn(core.process.run, { argv = { "touch", path } })
    for n = 2, 20000 do
      tasks[n] = task.spawn(function()
        local ends = os.clock() + 0.00005
        seen = seen or core.file.stat(path) ~= nil
        repeat until seen or os.clock() >= ends
      end)
    end
    for _, each in ipairs(tasks) do each:join() end
    assert.is_true(seen)
  end)

  it("refuses nonsense", function()
    assert.has_error(function() time.sleep(-1) end)
    assert.has_error(function() time.sleep(0 / 0) end)
    assert.has_error(function() task.spawn(1) end)
  end)
end)

describe("a queue", function()
  it("keeps order, with values before and after the wait", function()
    local q = task.queue()
    q:push(1)
    q:push(2)
    assert.equals(2, #q)
    local t = task.spawn(function() return q:pop(), q:pop(), q:pop() end)
    time.sleep(0)
    q:push(3)
    assert.same({ 1, 2, 3 }, { t:join() })
  end)

  it("answers who waited longest first", function()
    local q, got = task.queue(), {}
    local tasks = {}
    for n = 1, 3 do tasks[n] = task.spawn(function() got[n] = q:pop() end) time.sleep(0) end
    for n = 1, 3 do q:push(n * 10) end
    for n = 1, 3 do tasks[n]:join() end
    assert.same({ 10, 20, 30 }, got)
  end)

  it("times out, and a cancelled wait takes nothing", function()
    local q = task.queue()
    assert.same({ nil, "timed out", "timeout" }, { q:pop(0.001) })
    local t = task.spawn(function() q:pop() end)
    time.sleep(0)
    t:cancel()
    t:join()
    q:push("kept")
    assert.equals("kept", q:pop())
  end)

  it("says when nothing can ever answer", function()
    local ok, message = pcall(function() task.queue():pop() end)
    assert.is_false(ok)
    assert.matches("deadlock", message)
  end)
end)

describe("a bounded script", function()
  local script = core.script

  it("sees only its environment", function()
    local fn = assert(script.load("return print, x", "=t", { x = 1 }))
    assert.same({ true, nil, 1 }, { script.call(1, fn) })
  end)

  it("is stopped when it runs or grows too much", function()
    local text = "while true do pcall(function() while true do end end) end"
    local forever = assert(script.load(text, "=t", { pcall = pcall }))
    assert.matches("ran too long", select(2, script.call(0.1, forever)))
    local greedy = assert(script.load("local t = {} for i = 1, 1e9 do t[i] = {} end", "=t", {}))
    local _, message = script.call(20, greedy)
    assert.matches("too much memory", message)
    collectgarbage()
  end)

  it("may not wait, and may not be bytecode", function()
    assert.matches("cannot wait here", select(2, script.call(1, function() time.sleep(0) end)))
    local _, message, code = script.load(string.dump(function() end), "=t", {})
    assert.matches("binary", message)
    assert.equals("invalid", code)
  end)

  it("skips a first line for the shell and counts it", function()
    local _, message = script.load("#!/usr/bin/env orrery\n\n)", "=t", {})
    assert.matches("^t:3:", message)
  end)
end)

describe("time", function()
  it("formats RFC 3339 in UTC", function()
    assert.equals("1970-01-01T00:00:00.000Z", time.format(0))
    assert.equals("2026-01-02T03:04:05.678Z", time.format(1767323045.678))
  end)
end)
