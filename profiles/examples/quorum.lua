#!/usr/bin/env -S orrery script
--- quorum.lua COUNT STACK URL... -- waits until COUNT of the relays at the URLs are healthy at the
-- same time, then brings the stack up and leaves it running.
--
--     orrery script quorum.lua 2 . https://relay1.example https://relay2.example https://r3.example
local orrery = require "orrery"

local PATH = "/xrpc/_health" -- where a relay says how it is
local PATIENCE = tonumber(os.getenv "QUORUM_TIMEOUT") or 300

local count, target = math.tointeger(tonumber(arg[1])), arg[2]
local urls = { table.unpack(arg, 3) }
if not count or count < 1 or #urls < count then
  return nil, "usage: quorum.lua COUNT STACK URL... (at least COUNT of them)"
end
local stack, message = orrery.stack.load(target)
if not stack then return nil, message end

local changes = orrery.task.queue()
local state, passing = {}, 0

--- Checks one relay on and on.
local function watch(url)
  local check <close> = orrery.check.start { strategy = "http", url = url .. PATH, interval = 1,
    timeout = 5, fall = 1 }
  while true do
    local change = check:next()
    if not change then return end
    changes:push { url = url, ok = change.state == "passing", message = change.message }
  end
end

local function take(change)
  local was = state[change.url]
  state[change.url] = change.ok
  passing = passing + (change.ok and 1 or 0) - (was and 1 or 0)
  print(("%d of %d: %s"):format(passing, count, change.message))
end

local ok
ok, message = orrery.task.timeout(PATIENCE, function()
  local watchers = {}
  for i, url in ipairs(urls) do watchers[i] = function() watch(url) end end
  return orrery.task.race { function()
    while passing < count do take(changes:pop()) end
    return true
  end, table.unpack(watchers) }
end)
if not ok then return nil, ("no quorum of relays: %s"):format(message) end
ok, message = stack:up { detach = true }
if not ok then return nil, message end
print("the stack is up")
