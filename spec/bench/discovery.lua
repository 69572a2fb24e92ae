-- discovery -- what the tables of the discovery backends share: each measures the same, beside what
-- curl gets from the same server in the same run.
local orrery = require "orrery"

local file, task, time = orrery.file, orrery.task, orrery.time

local CHANGES, CURL_CHANGES = 300, 60
local REGISTRATIONS, WATCHED_SECONDS = 400, 20

local M = { SERVICES = 200, COPIES = 50 }

function M.record(service, number, port)
  return { service = service, id = ("%s@n%d"):format(service, number), node = "n" .. number,
    address = "127.0.0.1", port = port, scheme = "http", tags = { "bench" } }
end

--- The median and the 99th percentile of seconds.
function M.spread(values)
  table.sort(values)
  local function at(part) return values[math.max(1, math.ceil(#values * part))] * 1000 end
  return ("%.1f ms, %.1f ms"):format(at(0.5), at(0.99))
end

--- Our resident memory, in MiB.
function M.rss()
  return tonumber(assert(file.read "/proc/self/status"):match "VmRSS:%s*(%d+)") / 1024
end

--- Seconds, and seconds of CPU, that `fn` takes.
function M.timed(fn)
  local cpu, began = os.clock(), time.monotonic()
  fn()
  return time.monotonic() - began, os.clock() - cpu
end

--- Runs fn(1) to fn(count) in `width` tasks.
function M.spread_out(count, width, fn)
  local next_number, tasks = 0, {}
  for i = 1, width do
    tasks[i] = task.spawn(function()
      while next_number < count do
        next_number = next_number + 1
        fn(next_number)
      end
      return true
    end)
  end
  for i = 1, width do assert(tasks[i]:join()) end
end

--- A task that pushes the time of each change of the service "wake" that the backend tells; it has
--- looked once when this returns.
function M.watch_wake(backend, woke)
  local watcher = task.spawn(function()
    local _, cursor = backend:lookup "wake"
    woke:push(0)
    while true do
      _, cursor = assert(backend:lookup("wake", cursor, 60))
      woke:push(time.monotonic())
    end
  end)
  woke:pop()
  return watcher
end

--- A change, until its watcher knows.
function M.wake(bench, name, backend)
  local values, woke = {}, task.queue()
  assert(backend:register(M.record("wake", 1, 1), 3600))
  local watcher = M.watch_wake(backend, woke)
  for i = 1, CHANGES do
    time.sleep(0.01) -- its next question is under way by then
    local began = time.monotonic()
    assert(backend:register(M.record("wake", 1, 1 + i), 3600))
    values[i] = woke:pop(10) - began
  end
  watcher:cancel()
  bench.row(("%s: change to watcher, median and p99 of %d"):format(name, CHANGES), M.spread(values))
end

--- The same by a curl: `start()` starts one that waits for a change and returns a function that
--- waits until it has come.
function M.wake_curl(bench, what, backend, start)
  local values = {}
  for i = 1, CURL_CHANGES do
    local woke
    local wait = start()
    local waiting = task.spawn(function()
      wait()
      woke = time.monotonic()
    end)
    time.sleep(0.1)
    local began = time.monotonic()
    assert(backend:register(M.record("wake", 1, 10000 + i), 3600))
    waiting:join()
    values[i] = woke - began
  end
  bench.row(("  %s, of %d"):format(what, CURL_CHANGES), M.spread(values))
end

--- Registrations. `tidies`: they are taken back before the next are timed, as they would cost.
function M.register(bench, backend, tidies)
  for _, width in ipairs { 1, 8 } do
    local seconds, cpu = M.timed(function()
      M.spread_out(REGISTRATIONS, width, function(number)
        assert(backend:register(M.record("alone-" .. width, number, number), 3600))
      end)
    end)
    bench.row(("  %d registrations, %d at a time"):format(REGISTRATIONS, width),
      ("%.0f /s"):format(REGISTRATIONS / seconds))
    bench.row("    our CPU for each", ("%.0f us"):format(cpu * 1e6 / REGISTRATIONS))
    for number = 1, tidies and REGISTRATIONS or 0 do
      local service = "alone-" .. width
      assert(backend:deregister(service, M.record(service, number).id))
    end
  end
end

--- Lists all of the services many-1, many-2 ...; their cursors.
function M.list(bench, backend)
  local cursors, found, before = {}, 0, M.rss()
  local seconds, cpu = M.timed(function()
    assert(#backend:services() >= M.SERVICES)
    M.spread_out(M.SERVICES, 8, function(number)
      local list, cursor = assert(backend:lookup("many-" .. number))
      cursors[number], found = cursor, found + #list
    end)
  end)
  assert(found == M.SERVICES * M.COPIES, found)
  bench.row(("  %d instances of %d services listed"):format(found, M.SERVICES),
    ("%.2f s"):format(seconds))
  bench.row("    our CPU, memory grown by", ("%.2f s, %.0f MiB"):format(cpu, M.rss() - before))
  return cursors
end

--- Watches them, idle and then with a change of each: change(number) makes it.
function M.watch(bench, backend, cursors, change)
  local woke, watchers = task.queue(), {}
  for number = 1, M.SERVICES do
    watchers[number] = task.spawn(function()
      local cursor = cursors[number]
      while true do
        local _, now = assert(backend:lookup("many-" .. number, cursor, 600))
        if now ~= cursor then woke:push(time.monotonic()) end
        cursor = now
      end
    end)
  end
  time.sleep(3)
  local _, cpu = M.timed(function() time.sleep(WATCHED_SECONDS) end)
  bench.row(("  %d services watched, idle"):format(M.SERVICES),
    ("%.2f %% of a core"):format(cpu / WATCHED_SECONDS * 100))
  bench.row("    our memory, all of it", ("%.0f MiB"):format(M.rss()))
  local values = {}
  for number = 1, M.SERVICES do
    local began = time.monotonic()
    change(number)
    values[number] = assert(woke:pop(60)) - began
  end
  bench.row("    a change of each, median and p99", M.spread(values))
  for _, watcher in ipairs(watchers) do watcher:cancel() end
end

return M
