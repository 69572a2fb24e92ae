--- outcome -- how a command of the user's ended that did not end well, in words.
local M = {}

--- "exit code 3", "ended by SIGKILL" or "timed out", for a result of process.run().
function M.of(result)
  if result.timedOut then return "timed out" end
  if result.code then return "exit code " .. result.code end
  return "ended by SIG" .. (result.signal or "?")
end

--- The same with the last of what it wrote to its standard error, if that is anything.
function M.told(result)
  local said = result.stderr:gsub("%s+$", ""):sub(-500)
  return M.of(result) .. (said ~= "" and ": " .. said or "")
end

return M
