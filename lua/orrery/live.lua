--- live -- has the files of running instances rendered again when a service that they ask for has
-- changed.
--
-- One task. It hears of names (a service whose instances changed), finds the files that ask for
-- them, waits until the changes pause (`wait` of the file), and tells the supervisor, which does
-- the rest.
local core = require "orrery.core"

local M = {}

--- Makes a keeper. `follow(name)` is called once for each service that a file asks for and that the
-- stack does not run, or that others may run, too: it sees to it that changed() hears of it. It
-- must not wait.
function M.new(supervisor, follow)
  return { supervisor = supervisor, follow = follow, followed = {}, users = {},
    queue = core.task.queue(), due = {} }
end

--- Tells it that what discovery or the stack says of the service `name` has changed. Never waits.
function M.changed(keeper, name)
  if keeper.users[name] then keeper.queue:push(name) end
end

--- Tells it that the files of an instance were rendered: what they ask for may be new.
function M.rendered(keeper, i)
  for _, known in pairs(i.files) do
    for name in pairs(known.uses or {}) do
      keeper.users[name] = keeper.users[name] or {}
      keeper.users[name][i.id] = true
      local is_elsewhere = not keeper.supervisor.by_service[name]
        or known.lists and known.lists[name]
      if is_elsewhere and not keeper.followed[name] then
        keeper.followed[name] = true
        keeper.follow(name)
      end
    end
  end
end

--- When a file is written that changed first at `first` and last at `last`: once there was quiet
-- for wait[1] seconds, at the latest wait[2] after the first change. Pure.
function M.due_at(first, last, wait)
  return math.min(last + wait[1], first + wait[2])
end

local function mark(keeper, i, path, wait, now)
  local key = i.id .. "\0" .. path
  local entry = keeper.due[key] or { id = i.id, path = path, first = now }
  entry.at = M.due_at(entry.first, now, wait)
  keeper.due[key] = entry
end

--- Marks the files of `i` that ask for the service. False if none does.
local function mark_files(keeper, i, name, now)
  local asks = false
  for path, known in pairs(i.files) do
    if known.uses and known.uses[name] then
      mark(keeper, i, path, known.wait or { 0, 0 }, now)
      asks = true
    end
  end
  return asks
end

local function take(keeper, name)
  local now, users = core.time.monotonic(), keeper.users[name] or {}
  for id in pairs(users) do
    local i = keeper.supervisor.by_id[id]
    if not i or not mark_files(keeper, i, name, now) then users[id] = nil end
  end
end

local function tell(keeper, id, paths)
  local i = keeper.supervisor.by_id[id]
  if not i then return end
  keeper.supervisor.queue:push({ kind = "stale", id = id, generation = i.generation,
    paths = paths })
end

--- Tells of every file that is due. Returns the seconds until the next one is; nil if none waits.
local function tell_due(keeper)
  local now, next_at, by_instance = core.time.monotonic(), nil, {}
  for key, entry in pairs(keeper.due) do
    if entry.at <= now then
      keeper.due[key] = nil
      by_instance[entry.id] = by_instance[entry.id] or {}
      by_instance[entry.id][entry.path] = true
    elseif not next_at or entry.at < next_at then
      next_at = entry.at
    end
  end
  for id, paths in pairs(by_instance) do tell(keeper, id, paths) end
  return next_at and next_at - now
end

--- Runs until it is cancelled. Waits.
function M.run(keeper)
  local pause
  while true do
    local name = keeper.queue:pop(pause)
    while name do
      take(keeper, name)
      name = #keeper.queue > 0 and keeper.queue:pop() or nil
    end
    pause = tell_due(keeper)
  end
end

return M
