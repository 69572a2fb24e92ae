--- events -- what happened, in order: a bounded history that can be read and followed.
--
-- Only its owner (the agent) adds. A reader that fell further behind than the history reaches is
-- told so, and reads the state again.
local task = require("orrery.core").task
local time = require("orrery.core").time

local M = {}

local KEEP = 10000

--- Makes an empty history. `keep` events are kept (10000).
function M.new(keep)
  return { keep = keep or KEEP, first = 1, seq = 0, list = {}, followers = {} }
end

--- Adds one event (a table; `seq` and `at` are set here) and hands it to every follower.
function M.add(log, event)
  log.seq = log.seq + 1
  event.seq, event.at = log.seq, time.now()
  log.list[log.seq] = event
  if log.seq - log.first >= log.keep then
    log.list[log.first] = nil
    log.first = log.first + 1
  end
  for queue in pairs(log.followers) do queue:push(event) end
  return event
end

--- The events after `seq`, oldest first; or nil, message, "not_found" if some of them are gone.
function M.since(log, seq)
  if seq < log.first - 1 or seq > log.seq then
    return nil, ("events after %d are gone (the history has %d to %d); read the state again")
      :format(seq, log.first, log.seq), "not_found"
  end
  local found = {}
  for n = seq + 1, log.seq do found[#found + 1] = log.list[n] end
  return found
end

--- A queue that receives every event from now on; unfollow() when done.
function M.follow(log)
  local queue = task.queue()
  log.followers[queue] = true
  if log.closed then queue:push(false) end
  return queue
end

--- Tells every follower that there will be no more: its queue gives false.
function M.close(log)
  log.closed = true
  for queue in pairs(log.followers) do queue:push(false) end
end

function M.unfollow(log, queue) log.followers[queue] = nil end

return M
