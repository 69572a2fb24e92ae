--- evaluate -- runs what was typed as a task of its own, so that it can wait and be cancelled.
local core = require "orrery.core"

local M = {}

local OURS = debug.getinfo(1, "S").short_src

--- The lines of a traceback that are of the person's code or of what it called.
local function trimmed(trace)
  local lines = {}
  for line in trace:gmatch("[^\n]+") do
    local ours = line:find(OURS, 1, true) or line:find("in function 'xpcall'", 1, true)
      or line:find("in function 'error'", 1, true) or line:find("(...tail calls...)", 1, true)
    if not ours then lines[#lines + 1] = line end
  end
  return #lines > 1 and table.concat(lines, "\n") or nil
end

local function message_of(err)
  if type(err) ~= "table" then return tostring(err) end
  if type(err.message) == "string" then return err.message end
  local ok, text = pcall(tostring, err)
  local class = debug.getmetatable(err)
  if ok and class and rawget(class, "__tostring") then return text end
  return "(an error that is a table) " .. require("orrery.repl.pretty").format(err)
end

local function explain(err)
  if err == "cancelled" then return { cancelled = true } end
  if type(err) == "table" and err.exit then -- a command that fails
    return { message = err.message or "", exit = err.exit, command = true }
  end
  return { message = message_of(err), trace = trimmed(debug.traceback("", 2)) }
end

--- Runs fn(...). Waits. Returns its results packed; or nil and {message, trace, cancelled, exit}.
-- `started(task)` is told the task.
function M.run(started, fn, ...)
  local arguments = table.pack(...)
  local task = core.task.spawn(function()
    return table.pack(xpcall(fn, explain, table.unpack(arguments, 1, arguments.n)))
  end)
  started(task)
  local outcome, message = task:join()
  started(nil)
  if not outcome and message == "cancelled" then return nil, { cancelled = true } end
  if not outcome then return nil, { message = message } end
  if not outcome[1] then return nil, outcome[2] end
  return table.pack(table.unpack(outcome, 2, outcome.n))
end

return M
