--- orrery.task: the tasks of the engine, and what runs several of them. Documented in
-- lua/meta/task.lua.
--
-- Whoever waits in all(), race() or timeout() may be cancelled: what it waits for ends with it.
local task = require("orrery.core").task

local M = {}
for name, value in pairs(task) do M[name] = value end

local function check(list, name)
  if type(list) ~= "table" then
    error(("task.%s: expected a list of functions, got a %s"):format(name, type(list)), 3)
  end
  for key, fn in pairs(list) do
    if math.type(key) ~= "integer" or type(fn) ~= "function" or key < 1 or key > #list then
      error(("task.%s: expected a list of functions"):format(name), 3)
    end
  end
end

--- Queued before the task is, so that it joins in time to be told of its failure.
local function report(entry, ended)
  entry.results = table.pack(entry.task:join())
  ended:push(entry)
end

local function start(list, ended)
  local entries = {}
  for n, fn in ipairs(list) do
    local entry = { number = n }
    entry.watcher = task.spawn(report, entry, ended)
    entry.task = task.spawn(fn)
    entries[n] = entry
  end
  return entries
end

--- Ends those that still run. Does not wait: this is also how a cancelled caller leaves.
local function ending(entries)
  return setmetatable({}, { __close = function()
    for _, entry in ipairs(entries) do
      entry.watcher:cancel()
      entry.task:cancel()
    end
  end })
end

--- A result of nil and a message is a failure, as everywhere.
local function failed(results) return results[1] == nil and results[2] ~= nil end

local function unpacked(results) return table.unpack(results, 1, results.n) end

--- What was cancelled has ended when the caller goes on: it closes its variables first.
local function end_rest(entries)
  for _, entry in ipairs(entries) do
    if not entry.results then
      entry.watcher:cancel()
      entry.task:cancel()
    end
  end
  for _, entry in ipairs(entries) do entry.task:join() end
end

function M.all(list)
  check(list, "all")
  local ended = task.queue()
  local entries = start(list, ended)
  local _ <close> = ending(entries)
  local values = { n = #list }
  for _ = 1, #list do
    local entry = ended:pop()
    if failed(entry.results) then
      end_rest(entries)
      return unpacked(entry.results)
    end
    values[entry.number] = entry.results[1]
  end
  return values
end

--- The results of the first to end for which `decides(results)`; of the last if none is.
local function first(list, decides)
  local ended = task.queue()
  local entries = start(list, ended)
  local _ <close> = ending(entries)
  local entry
  for _ = 1, #list do
    entry = ended:pop()
    if decides(entry.results) then break end
  end
  end_rest(entries)
  return unpacked(entry.results)
end

local function not_empty(list, name)
  check(list, name)
  if #list == 0 then error(("task.%s: the list is empty"):format(name), 3) end
end

function M.race(list)
  not_empty(list, "race")
  return first(list, function() return true end)
end

function M.any(list)
  not_empty(list, "any")
  return first(list, function(results) return not failed(results) end)
end

function M.timeout(seconds, fn, ...)
  if math.type(seconds) == nil or seconds < 0 then
    error("task.timeout: expected seconds, 0 or more", 2)
  end
  if type(fn) ~= "function" then error("task.timeout: expected a function", 2) end
  local running = task.spawn(fn, ...)
  local _ <close> = setmetatable({}, { __close = function() running:cancel() end })
  local results = table.pack(running:join(seconds))
  -- A function may itself end with "timeout": then it is done.
  if results[1] == nil and results[3] == "timeout" and not running:done() then
    running:cancel()
    running:join()
    return nil, ("timed out after %g s"):format(seconds), "timeout"
  end
  return unpacked(results)
end

return M
