--- problem -- what is wrong as text: where, then what. Pure.
--
-- A problem is {path, message, file, line, column}; only the message must be there.
local M = {}

--- Whether a message says itself where: it begins with the place, or has that file's path in it.
local function names(message, place)
  local at = message:find(place, 1, true)
  return at ~= nil and (at == 1 or place:find("/", 1, true) ~= nil)
end

--- What is written comes from outside: nothing in it may steer a terminal.
local function clean(text)
  return (text:gsub("%c", function(c) return c ~= "\n" and "?" or c end))
end

--- "path: message"; a message that names its place already stands alone.
function M.text(problem)
  local message = clean(problem.message)
  if not problem.path or names(message, problem.path) then return message end
  return clean(problem.path) .. ": " .. message
end

--- The problems in one line.
function M.line(problems)
  local parts = {}
  for i, problem in ipairs(problems) do parts[i] = M.text(problem) end
  return table.concat(parts, "; ")
end

--- "file:line:column: " of a problem that knows its line; "file: " of one that has no path.
local function place(problem)
  if problem.line then
    local column = problem.column and problem.column .. ":" or ""
    return ("%s:%d:%s "):format(problem.file, problem.line, column)
  end
  return names(problem.message, problem.file) and "" or problem.file .. ": "
end

--- One line each, below the file that they are in.
function M.list(problems)
  local lines, file = {}, nil
  for _, problem in ipairs(problems) do
    if problem.line or (problem.file and not problem.path) then
      local own = problem.path and names(problem.file, problem.path) -- it is where the text is
      lines[#lines + 1] = place(problem) .. (own and clean(problem.message) or M.text(problem))
      file = nil
    else
      if problem.file and problem.file ~= file then lines[#lines + 1] = problem.file .. ":" end
      file = problem.file or file
      lines[#lines + 1] = (file and "  " or "") .. M.text(problem)
    end
  end
  return table.concat(lines, "\n")
end

return M
