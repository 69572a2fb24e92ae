--- command -- runs what takes up changed files, and says when it is run again if it fails.
--
-- A program that was not told of its new files goes on with the old ones, so what failed is tried
-- until it succeeds or the files change.
local core = require "orrery.core"
local outcome = require "orrery.outcome"

local M = {}

local TIMEOUT = 30
local PAUSE = { first = 1, max = 60, jitter = 0.25 } -- seconds

--- Runs a command: words, or a line for a shell. `options`: env, user, cwd of the process. Returns
--- true | nil, message, code. Waits.
function M.run(command, options)
  local argv = type(command) == "table" and command or { "sh", "-c", command }
  local how = { argv = argv, timeout = TIMEOUT }
  for key, value in pairs(options or {}) do how[key] = value end
  local result, message, code = core.process.run(how)
  if not result then return nil, message, code end
  if result.code == 0 then return true end
  return nil, outcome.told(result), "failed"
end

--- Seconds until a command that failed so many times in a row is run again.
function M.pause(failures) return core.check.backoff(PAUSE, failures - 1, math.random()) end

return M
