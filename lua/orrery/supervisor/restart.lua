--- restart -- what the end of a process means by its restart policy: success or failure, whether it
-- is started again, and when. Pure.
--
-- `restart` is the service's table: policy, max, window, backoff, and the lists successExit,
-- preventExit and forceExit, whose items are exit codes (3), ranges ("100-110") and signals
-- ("TERM"). They mean what systemd's SuccessExitStatus=, RestartPreventExitStatus= and
-- RestartForceExitStatus= mean.
local backoff = require("orrery.core").check.backoff

local M = {}

local JITTER = 0.25 -- the part of a pause that chance may take away, so that crowds disperse

--- The first and last code of an item; nothing if it is a signal's name.
function M.range(item)
  if type(item) == "number" then return item, item end
  local first, last = item:match("^(%d+)%-(%d+)$")
  return tonumber(first), tonumber(last)
end

local function fits(item, exit)
  local first, last = M.range(item)
  if not first then return exit.signal == item end
  return exit.code ~= nil and exit.code >= first and exit.code <= last
end

local function listed(list, exit)
  if list == nil then return false end
  if type(list) ~= "table" then return fits(list, exit) end
  for _, item in ipairs(list) do if fits(item, exit) then return true end end
  return false
end

--- Whether an exit {code | signal} is a success: 0, or one of successExit.
function M.success(restart, exit)
  return exit.code == 0 or listed(restart.successExit, exit)
end

--- Whether it is started again after `exit` ({code | signal, ok}), and why if a list says so.
function M.again(restart, exit, oneshot)
  if listed(restart.preventExit, exit) then return false, "restart.preventExit has it" end
  if listed(restart.forceExit, exit) then return true, "restart.forceExit has it" end
  if restart.policy == "never" then return false, not exit.ok and "restart policy is never" end
  return not exit.ok or (restart.policy == "always" and not oneshot)
end

--- Whether the failures at the moments `failed_at` leave room for one more restart now.
function M.may_retry(restart, failed_at, now)
  local recent = 0
  for _, at in ipairs(failed_at) do
    if now - at < restart.window then recent = recent + 1 end
  end
  return recent < restart.max
end

--- Seconds until the next start after `failures` failures in a row: restart.backoff = {first,
-- longest}, doubling, less up to a quarter by `chance` (0 to below 1).
function M.delay(restart, failures, chance)
  local first, longest = restart.backoff[1], restart.backoff[2] or restart.backoff[1]
  return backoff({ first = first, max = math.max(first, longest), jitter = JITTER },
    failures - 1, chance)
end

return M
