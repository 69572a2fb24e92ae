--- template -- the HCL template language: text with `${}` and `%{}` to text, checked and bounded.
local compile = require "orrery.template.compile"
local errors = require "orrery.template.errors"
local plugins = require "orrery.template.plugins"
local secret = require "orrery.secret"
local suggest = require "orrery.suggest"

local M = {}

local MAX_CACHED = 128

local cache, cached = {}, 0

local function compiled(text, name, hidden)
  local key = (hidden and "-" or "+") .. name .. "\0" .. text
  if cache[key] then return cache[key] end
  local source = {text = text, name = name, hidden = hidden}
  local ok, result = pcall(compile.compile, source)
  if not ok then
    if errors.is(result) then return nil, result end
    error(result, 0)
  end
  if cached >= MAX_CACHED then cache, cached = {}, 0 end
  cache[key], cached = result, cached + 1
  return result
end

-- Plain tables are scopes too: their keys are the names.
local function getter(scope)
  if type(scope.get) == "function" then return function(name) return scope:get(name) end end
  return function(name)
    local value = scope[name]
    if value ~= nil then return value end
    return nil, {message = ("'%s' is not declared%s"):format(name,
      suggest.hint(name, suggest.names(scope)))}
  end
end

local function revealer(scope)
  if type(scope.reveal) == "function" then
    return function(value) return scope:reveal(value) end
  end
  return secret.reveal
end

local NO_FORMAT = {written_by = {}}

local function new_run(template, scope, options)
  local format = NO_FORMAT
  if options.format then format = assert(plugins.find("format", options.format, options.dir)) end
  return {
    source = template.source, get = getter(scope), reveal = revealer(scope), dir = options.dir,
    guard = format.guard, written_by = format.written_by or {}, filters = {}, later = {},
    out = {}, at = {}, n = 0, size = 0, passes = 0, secret = false,
  }
end

-- An error for the first name that the scope does not know, with those for the others.
local function undeclared(template, scope)
  if type(scope.undeclared) ~= "function" then return nil end
  local found = {}
  for at, name in pairs(template.free) do
    local message = scope:undeclared(name)
    if message then found[#found + 1] = errors.new(template.source, at, message, {at = at}) end
  end
  table.sort(found, function(a, b) return a.at < b.at end)
  if found[1] then found[1].others = {table.unpack(found, 2)} end
  return found[1]
end

local function attempt(template, fn, run, scope)
  local wrong = undeclared(template, scope)
  if wrong then return false, wrong end
  local ok, result = pcall(fn, run)
  if ok then return true, result end
  if errors.is(result) then return false, result end
  error(result, 0)
end

-- The template's line for byte `inside` of the n-th piece of the result.
local function line_of(run, n, inside)
  local text, at, piece = run.source.text, run.at[n], run.out[n]
  local line = errors.place(text, at)
  if text:sub(at, at + #piece - 1) ~= piece then return line end -- not literal text
  return line + select(2, piece:sub(1, inside - 1):gsub("\n", ""))
end

-- Which line of the template wrote a line of the result.
local function locator(run, result)
  return function(line)
    local offset, passed = 1, 0
    for _ = 2, line do offset = (result:find("\n", offset, true) or #result) + 1 end
    for i = 1, run.n do
      if offset <= passed + #run.out[i] then return line_of(run, i, offset - passed) end
      passed = passed + #run.out[i]
    end
    return run.n > 0 and line_of(run, run.n, #run.out[run.n]) or 1
  end
end

local function render(template, scope, options)
  local run = new_run(template, scope, options)
  local ok, problem = attempt(template, template.render, run, scope)
  if not ok then return nil, problem end
  local text = table.concat(run.out, "", 1, run.n)
  return text, run.secret, locator(run, text), run.later
end

--- Compiles a template. Returns fn(scope, options), which is render() | nil, message, error.
function M.compile(text, name)
  local template, err = compiled(text, name or "template")
  if not template then return nil, err.message, err end
  return function(scope, options) return render(template, scope, options or {}) end
end

--- Renders a template. `scope` is a table of names, or an object of orrery.scope. Options: name
--- (for errors), dir (of the stack file, beside which filters of its own lie), format (its guard
--- refuses values that would change the structure of the file), hidden (errors do not show the
--- template's text). Returns text, is_secret, locate(line) -> the template's line, and a list of
--- what `later` stands in for | nil, {message, summary, file, line, column, pending, others}.
function M.render(text, scope, options)
  options = options or {}
  local template, err = compiled(text, options.name or "template", options.hidden)
  if not template then return nil, err end
  return render(template, scope, options)
end

--- The value of a string of a stack: that of its `${}`, with its type, if it is nothing else; or
--- its text. Returns value, is_secret | nil, error.
function M.value(text, scope, options)
  options = options or {}
  local template, err = compiled(text, options.name or "template", options.hidden)
  if not template then return nil, err end
  if not template.value then return render(template, scope, options) end
  local run = new_run(template, scope, options)
  local ok, value = attempt(template, template.value, run, scope)
  if not ok then return nil, value end
  return value, run.secret
end

return M
