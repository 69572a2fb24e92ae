--- watch -- who wants to know where a service is, and the one loop for each service that finds out.
--
-- The loop asks the first backend and waits there for changes. After an error it lists again, then
-- tries with longer pauses, and meanwhile asks the backends behind it. It ends only when it is
-- closed. An error changes no answer: what was known last stays, and is told to be old.
local core = require "orrery.core"

local task, time = core.task, core.time

local M = {}

local WAIT = 60         -- seconds that a backend may wait for a change
local GRACE = 15        -- and more for its answer
local EARLY = 3         -- without an answer for so long, what is on disk is better than nothing
local FIRST, LONGEST = 0.5, 5 -- pauses after errors
local BURST, RATE = 10, 5      -- questions at once, and in a second, however fast answers come
local SOON, PATIENCE = 1, 10   -- answers within SOON that tell nothing new, before they cost pauses
local POLL = 2         -- seconds between looks of those for whom there is no place to wait
local FAULT_PAUSE = 5

local hub_class, waiter_class = {}, {}
hub_class.__index, waiter_class.__index = hub_class, waiter_class
waiter_class.__name = "orrery.watch of discovery"

-- ---- the answer, and who waits for it ----

local function wake(hub)
  hub.seq = hub.seq + 1
  for waiter in pairs(hub.waiters) do
    for _ = 1, waiter.waiting do waiter.queue:push(true) end
    waiter.waiting = 0
  end
end

--- Copies of the records that name `source` as theirs.
local function with_source(records, source)
  local list = core.json.array({})
  for i, record in ipairs(records) do
    local copy = {}
    for key, value in pairs(record) do copy[key] = value end
    copy.source = source
    list[i] = copy
  end
  return list
end

--- Records as text without what differs between sources: two answers are the same if it is.
local function text_of(records)
  return core.json.encode(with_source(records, nil), { lossy = true })
end

--- Tells the owner of the watches, once, that answers have become old, or are fresh again.
local function notice(hub, stale)
  if hub.was_stale == stale then return end
  if hub.notice and (stale or hub.was_stale) then hub.notice(hub.service, stale, hub.error) end
  hub.was_stale = stale
end

--- Takes over an answer; wakes the waiters if it differs in any way from the one before.
local function publish(hub, records, state)
  local text = text_of(records)
  local changed = text ~= hub.text
  local other = hub.source ~= state.source or hub.stale ~= state.stale
  if changed or other or not hub.records then hub.records = records end
  hub.text, hub.source, hub.stale, hub.error = text, state.source, state.stale, state.error
  hub.at = state.at or time.now()
  notice(hub, state.stale)
  if changed or other then wake(hub) end
  return changed
end

--- The first backend answered.
local function accept(hub, part, records)
  hub.code, hub.told = nil, nil
  local changed = publish(hub, records, { source = part.name, stale = false })
  if hub.cache then hub.cache:put(hub.service, part.name, hub.text) end
  return changed
end

--- Shows what was known last, in memory or on disk. False if there is nothing.
local function show_last(hub)
  local records, at = hub.records, hub.at
  if not records and hub.cache then
    records, at = hub.cache:get(hub.service, hub.parts[1].name)
  end
  if not records then return false end
  if hub.source ~= "cache" then records = with_source(records, "cache") end
  publish(hub, records, { source = "cache", stale = true, error = hub.error, at = at })
  return true
end

--- Goes on with what was known last. Where nothing is known, everyone learns why, once.
local function keep_last(hub)
  if not show_last(hub) and hub.told ~= hub.error then wake(hub) end
  hub.told = hub.error
  notice(hub, true)
end

--- A backend behind the first answered. That it has none may come of being another: an answer with
-- instances in it is not given up for that.
local function stand_in(hub, part, records)
  if #records == 0 and hub.text and hub.text ~= "[]" then return keep_last(hub) end
  publish(hub, records, { source = part.name, stale = true, error = hub.error })
end

-- ---- asking ----

--- Waits until one more question may be asked.
local function take_turn(hub)
  local now = time.monotonic()
  hub.turns = math.min(BURST, hub.turns + (now - hub.turns_at) * RATE)
  hub.turns_at = now
  if hub.turns < 1 then time.sleep((1 - hub.turns) / RATE) end
  hub.turns = hub.turns - 1
end

--- Joins, and after a while shows those who know nothing yet what is on disk.
local function join(hub, part, asking, seconds)
  if hub.records or seconds <= EARLY then return asking:join(seconds) end
  local records, more, code = asking:join(EARLY)
  if records or asking:done() then return records, more, code end
  hub.error = hub.error or hub.sentence(part, "it has not answered yet", "timeout")
  show_last(hub)
  return asking:join(seconds - EARLY)
end

--- Places for `max` questions at a server at the same time. A server closes further connections of
-- one client, and then nobody could register either.
function M.places(max)
  local places = { max = max, held = 0, free = task.queue() }
  for _ = 1, max do places.free:push(true) end
  return places
end

--- A place, given back when it goes out of scope; nil if none is free in time.
local function take_place(places, seconds)
  if not places.free:pop(seconds) and places.held >= places.max then return nil end
  places.held = places.held + 1
  return setmetatable({}, { __close = function()
    places.held = places.held - 1
    places.free:push(true)
  end })
end

--- One lookup that ends in time, whatever the backend does.
local function ask(hub, part, cursor, wait)
  take_turn(hub)
  local waiting <close> = cursor and part.waiting and take_place(part.waiting, POLL) or nil
  if part.waiting and not waiting then cursor = nil end
  local _ <close> = not cursor and part.short and take_place(part.short, hub.grace) or nil
  hub.asked = hub.asked + 1
  local seconds = (cursor and wait or 0) + hub.grace
  local asking = task.spawn(part.handle.lookup, part.handle, hub.service, cursor, wait)
  local _ <close> = setmetatable({}, { __close = function() asking:cancel() end })
  local records, more, code = join(hub, part, asking, seconds)
  if records or asking:done() then return records, more, code end
  return nil, ("no answer within %g s"):format(seconds), "timeout"
end

local function backoff(failures)
  return math.min(LONGEST, FIRST * 2 ^ math.min(failures - 1, 10)) * (0.75 + math.random() / 2)
end

local function first_stand_in(hub)
  for i = 2, #hub.parts do
    local records, cursor = ask(hub, hub.parts[i])
    if records then return hub.parts[i], records, cursor end
  end
end

--- Spends a pause between two tries of the first backend with the answers of those behind it.
local function fall_back(hub, seconds)
  local deadline = time.monotonic() + seconds
  local part, records, cursor = first_stand_in(hub)
  if part then stand_in(hub, part, records) else keep_last(hub) end
  while true do
    local left = deadline - time.monotonic()
    if left <= 0 then return end
    if not (part and cursor and part.capabilities.watch) then return time.sleep(left) end
    records, cursor = ask(hub, part, cursor, left)
    if records then stand_in(hub, part, records) end
  end
end

--- Answers that come at once and tell nothing new are a fault of the backend: each costs a pause.
local function pace(hub, asked_at, changed)
  local idle = not changed and time.monotonic() - asked_at < SOON
  hub.idle = idle and hub.idle + 1 or 0
  if hub.idle > PATIENCE then time.sleep(backoff(hub.idle - PATIENCE)) end
end

local function rest_of_interval(hub)
  time.sleep(hub.interval * (0.9 + math.random() / 5))
end

--- Asks the first backend once. Returns the cursor for the next time.
local function look(hub, part, cursor)
  local asked_at = time.monotonic()
  local records, more, code = ask(hub, part, cursor, WAIT)
  if records then
    if cursor then hub.relists = 0 end
    if hub.relists == 0 then hub.failures = 0 end
    local changed = accept(hub, part, records)
    if not part.capabilities.watch or not more then return rest_of_interval(hub) end
    pace(hub, asked_at, changed)
    return more
  end
  if cursor and hub.relists < 1 and code ~= "timeout" then -- refused for its age? Then list again
    hub.relists = hub.relists + 1
    return nil
  end
  hub.failures = hub.failures + 1
  hub.error, hub.code = hub.sentence(part, more, code), code
  fall_back(hub, backoff(hub.failures))
end

local function follow(hub)
  local cursor
  while not hub.closed do cursor = look(hub, hub.parts[1], cursor) end
end

--- A fault of ours ends no watch either: it is logged, and the loop begins again.
local function run(hub)
  while not hub.closed do
    local ok, err = xpcall(follow, debug.traceback, hub)
    if ok or hub.closed or tostring(err):find("^cancelled") then return end
    core.log.error(("the watch of service '%s' failed and begins again: %s"):format(hub.service,
      err))
    hub.error, hub.code = "the watch failed: " .. tostring(err):match("^[^\n]*"), "failed"
    keep_last(hub)
    time.sleep(FAULT_PAUSE)
  end
end

-- ---- hubs and waiters ----

local function new_hub(watches, service)
  local hub = setmetatable({ service = service, parts = watches.parts, cache = watches.cache,
    interval = watches.interval, grace = watches.grace, sentence = watches.sentence,
    notice = watches.notice, waiters = {}, count = 0, seq = 0,
    failures = 0, relists = 0, idle = 0, asked = 0, turns = BURST,
    turns_at = time.monotonic() }, hub_class)
  hub.task = task.spawn(run, hub)
  return hub
end

local function close_hub(hub)
  hub.closed = true
  hub.task:cancel()
  wake(hub)
end

--- Where the watches of one discovery are kept. Options: parts (the backends, first first),
-- interval (seconds, for those that cannot watch), cache (or nil), grace (seconds for an answer),
-- sentence(part, message, code), notice(service, stale, error) (or nil).
function M.new(options)
  return { parts = options.parts, interval = options.interval, cache = options.cache,
    grace = options.grace or GRACE, sentence = options.sentence, notice = options.notice,
    hubs = {} }
end

--- One more waiter for a service.
function M.watch(watches, service)
  local hub = watches.hubs[service] or new_hub(watches, service)
  watches.hubs[service] = hub
  hub.count = hub.count + 1
  local waiter = setmetatable({ hub = hub, watches = watches, queue = task.queue(), waiting = 0,
    seen = 0 }, waiter_class)
  hub.waiters[waiter] = true
  return waiter
end

--- Ends every watch.
function M.close(watches)
  for _, hub in pairs(watches.hubs) do close_hub(hub) end
  watches.hubs, watches.closed = {}, true
end

--- What is known now, without waiting: records, info | nil, message, code.
function waiter_class:last()
  local hub = self.hub
  if self.closed or hub.closed then return nil, "closed", "closed" end
  if not hub.records then return nil, hub.error or "nothing is known yet", hub.code end
  return hub.records, { age = math.max(time.now() - hub.at, 0), source = hub.source,
    stale = hub.stale, error = hub.error }
end

--- Waits for what this waiter has not seen yet.
function waiter_class:next(timeout)
  local hub, seen = self.hub, self.seen
  local deadline = timeout and time.monotonic() + timeout
  while seen == hub.seq and not self.closed and not hub.closed do
    self.waiting = self.waiting + 1
    local left = deadline and math.max(deadline - time.monotonic(), 0)
    if not self.queue:pop(left) then return nil, "timed out", "timeout" end
  end
  self.seen = hub.seq
  return self:last()
end

function waiter_class:close()
  local hub, watches = self.hub, self.watches
  if self.closed then return end
  self.closed = true
  for _ = 1, self.waiting do self.queue:push(true) end
  hub.waiters[self] = nil
  hub.count = hub.count - 1
  if hub.count > 0 or hub.closed then return end
  watches.hubs[hub.service] = nil
  close_hub(hub)
end

waiter_class.__close = waiter_class.close

return M
