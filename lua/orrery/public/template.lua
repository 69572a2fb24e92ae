--- orrery.template: texts with ${...} and %{...} in them. Documented in lua/meta/template.lua.
local template = require "orrery.template"

local M = {}

local function text_given(text, name)
  if type(text) ~= "string" then error(("template.%s: expected a text"):format(name), 3) end
end

--- A value that a script gives may hold a secret; then the text does, too, and is handed out only
-- if that was asked for.
local function answer(text, secret_or_problem)
  if text then return text, secret_or_problem or false end
  local problem = secret_or_problem
  return nil, problem.message, problem.pending and "pending" or "invalid"
end

function M.compile(text, name)
  text_given(text, "compile")
  local fn, message = template.compile(text, name)
  if not fn then return nil, message, "invalid" end
  return function(names, options) return answer(fn(names or {}, options)) end
end

function M.render(text, names, options)
  text_given(text, "render")
  return answer(template.render(text, names or {}, options))
end

return M
