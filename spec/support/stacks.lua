--- stacks -- stack files for specs: written into a folder of the test, and loaded.
local support = require "support"
local stack = require "orrery.stack"

local M = { EXEC = 'exec = {"sleep", "1"}' }

--- Writes a stack file into `dir` and loads it.
function M.load(dir, text, options, name)
  local path = support.write(dir .. "/" .. (name or "stack.lua"), text)
  return stack.load(path, options)
end

function M.good(dir, text, options, name)
  local loaded, problems = M.load(dir, text, options, name)
  if not loaded then error(stack.format(problems), 2) end
  return loaded
end

--- The problems as a list of "path: message".
function M.problems_of(dir, text, options, name)
  local loaded, problems = M.load(dir, text, options, name)
  assert(loaded == nil, "the stack is taken, though it is wrong")
  local lines = {}
  for i, problem in ipairs(problems) do
    lines[i] = (problem.path and problem.path .. ": " or "") .. problem.message
  end
  return lines, problems
end

--- The one problem that there is.
function M.only(dir, text, options, name)
  local lines = M.problems_of(dir, text, options, name)
  assert(#lines == 1, table.concat(lines, "\n"))
  return lines[1]
end

return M
