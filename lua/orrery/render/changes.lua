--- changes -- waits until something changes that files were made of: services in discovery, and
--- paths.
local core = require "orrery.core"
local live = require "orrery.live"

local M = {}

--- One watcher; `discovery` (nil: none) is an opened orrery.discovery.
function M.new(discovery)
  return { discovery = discovery, queue = core.task.queue(), followed = {}, open = {} }
end

local function keep(changes, watch, is_end)
  changes.open[#changes.open + 1] = watch
  core.task.spawn(function()
    local value, message, code
    repeat
      value, message, code = watch:next()
      if changes.queue then changes.queue:push(value and true or message) end
    until is_end(value, code)
  end)
end

--- Watches services, a set of names, from now on.
function M.follow(changes, names)
  for name in pairs(names or {}) do
    if changes.discovery and not changes.followed[name] then
      changes.followed[name] = true
      -- An answer that is an error is one all the same, and a better one may follow.
      keep(changes, changes.discovery:watch(name), function(_, code) return code == "closed" end)
    end
  end
end

--- Watches a file or folder from now on. nil, message, code if it cannot.
function M.follow_path(changes, path)
  if changes.followed["/" .. path] then return true end
  local watch, message, code = core.file.watch(path)
  if not watch then return nil, message, code end
  changes.followed["/" .. path] = true
  keep(changes, watch, function(value) return not value end)
  return true
end

--- Waits for a change, and then for quiet: `wait` is {least after the last one, most after the
--- first}, in seconds. After `patience` seconds (nil: never) it waits no longer for the first.
function M.next(changes, wait, patience)
  local queue = changes.queue
  if not queue:pop(patience) then return end
  local first = core.time.monotonic()
  local last = first
  while true do
    while #queue > 0 do queue:pop() end
    local left = live.due_at(first, last, wait) - core.time.monotonic()
    if left <= 0 or not queue:pop(left) then return end
    last = core.time.monotonic()
  end
end

--- Ends it, and a next() that waits.
function M.close(changes)
  for _, watch in ipairs(changes.open) do watch:close() end
  changes.open = {}
  changes.queue:push("closed")
end

return M
