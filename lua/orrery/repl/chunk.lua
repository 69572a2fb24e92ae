--- chunk -- typed text to a function: an expression, else a statement; and whether it is complete.
-- Pure.
local M = {}

M.NAME = "stdin" -- what errors call the text

local function is_open(message)
  if message:find("unfinished string", 1, true) then return false end -- no line completes it
  return message:find("<eof>'?$") ~= nil
end

--- What begins no statement was meant as an expression, so that its error is the one to tell.
local function better(text, as_expression, as_statement)
  return text:find("^%s*[%a_]") and as_statement or as_expression
end

--- Compiles `text` in `env`: fn, is_expression; or nil, message, and true where more lines would
-- complete it.
function M.compile(text, env)
  local expression = text:match("^%s*=(.*)$") or text
  local fn, first = load("return " .. expression, "=" .. M.NAME, "t", env)
  if fn and expression:find("%S") then return fn, true end
  local second
  fn, second = load(text, "=" .. M.NAME, "t", env)
  if fn then return fn, false end
  first = first or second
  if is_open(first) or is_open(second) then
    return nil, better(text, first, second), true
  end
  return nil, better(text, first, second), false
end

return M
