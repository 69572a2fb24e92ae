--- template -- the HCL template language: text with `${}` and `%{}` to text, checked and bounded.
local compile = require "orrery.template.compile"
local errors = require "orrery.template.errors"
local plugins = require "orrery.template.plugins"
local runtime = require "orrery.template.runtime"
local secret = require "orrery.secret"
local suggest = require "orrery.suggest"

local M = {}

local MAX_CACHED = 4096
local MAX_CACHED_BYTES = 16 * 1024 * 1024

local cache, cached, cached_bytes = {}, 0, 0

local function keep(text, template)
  if cached >= MAX_CACHED or cached_bytes + #text > MAX_CACHED_BYTES then
    cache, cached, cached_bytes = {}, 0, 0
  end
  cache[text], cached, cached_bytes = template, cached + 1, cached_bytes + #text
  return template
end

local function caught(ok, ...)
  if ok then return ... end
  if errors.is((...)) then return nil, (...) end
  error((...), 0)
end

local function compiled(source)
  local template = cache[source.text]
  if template then return template end
  local err
  template, err = caught(pcall(compile.compile, source))
  if not template then return nil, err end
  return keep(source.text, template)
end

-- ---- one rendering ----

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

local NOTHING = {}

-- The filters whose results the format's guard must look at.
local function unwritten_of(template, format)
  local written_by, unwritten = format.written_by or NOTHING, {}
  for name in pairs(template.writers) do unwritten[name] = not written_by[name] end
  return unwritten
end

-- A rendering: what the compiled function and its helpers work with | nil, error.
local function new_run(template, source, scope, options)
  local format, is_object = options.format, type(scope.get) == "function"
  if format then format = assert(plugins.format(format, options.dir)) end
  local filters, foreign, site = plugins.filters(template.sites, options.dir)
  if not filters then return nil, errors.new(source, site.pos, foreign) end
  return {
    source = source, known = is_object and (scope.known or NOTHING) or scope, get = getter(scope),
    reveal = revealer(scope), filters = filters, foreign = foreign, sites = template.sites,
    guard = format and format.guard, unwritten = format and unwritten_of(template, format),
    later = {}, out = {}, n = 0, size = 0, passes = 0, steps = 0,
    max_steps = options.maxSteps or runtime.MAX_STEPS, site = false, secret = false,
  }
end

-- An error for the first name that the scope does not know, with those for the others.
local function undeclared(template, source, scope)
  if type(scope.undeclared) ~= "function" then return nil end
  local found, known = {}, scope.known or NOTHING
  for _, free in ipairs(template.free) do
    local message = known[free.name] == nil and scope:undeclared(free.name)
    if message then found[#found + 1] = errors.new(source, free.at, message) end
  end
  if found[1] then found[1].others = {table.unpack(found, 2)} end
  return found[1]
end

local function attempt(fn, run)
  local ok, result = pcall(fn, run)
  if ok then return true, result end
  if errors.is(result) then return false, result end
  if run.site then return false, runtime.refused(run, run.sites[run.site], result) end
  error(result, 0)
end

local function text_of(run)
  if run.n == 1 then return run.out[1] end
  return table.concat(run.out, "", 1, run.n)
end

-- ---- which line of the template wrote a line of the result ----

-- The template's line for byte `inside` of the n-th piece of the result.
local function line_of(run, n, inside)
  local text, at, piece = run.source.text, run.at[n], run.out[n]
  local line = errors.place(text, at)
  if text:sub(at, at + #piece - 1) ~= piece then return line end -- not literal text
  return line + select(2, piece:sub(1, inside - 1):gsub("\n", ""))
end

local function offset_of(text, line)
  local offset = 1
  for _ = 2, line do offset = (text:find("\n", offset, true) or #text) + 1 end
  return offset
end

local function find_line(run, result, line)
  local offset, passed = offset_of(result, line), 0
  for i = 1, run.n do
    if offset <= passed + #run.out[i] then return line_of(run, i, offset - passed) end
    passed = passed + #run.out[i]
  end
  return run.n > 0 and line_of(run, run.n, #run.out[run.n]) or 1
end

-- Renders once more, with a function that notes where each piece comes from: it is needed only
-- when a rendered text turns out to be wrong. If the values have changed since, it is line 1.
local function track(source, scope, options, result)
  local template = caught(pcall(compile.compile, source, true))
  local run = template and new_run(template, source, scope, options)
  if not run then return nil end
  run.at = {}
  return attempt(template.render, run) and text_of(run) == result and run
end

local function locator(source, scope, options, result)
  local run
  return function(line)
    if run == nil then run = track(source, scope, options, result) or false end
    return run and find_line(run, result, line) or 1
  end
end

-- ---- the interface ----

local function same_line(line) return line end

-- Most strings of a stack have no sequence in them.
local function is_plain(text) return not text:find("[$%%]{") and #text <= compile.MAX_TEXT end

local function start(template, source, scope, options)
  local wrong = undeclared(template, source, scope)
  if wrong then return nil, wrong end
  return new_run(template, source, scope, options)
end

local function render(template, source, scope, options)
  local run, err = start(template, source, scope, options)
  if not run then return nil, err end
  local ok, problem = attempt(template.render, run)
  if not ok then return nil, problem end
  local text = text_of(run)
  return text, run.secret, locator(source, scope, options, text), run.later
end

local function source_of(text, options)
  return {text = text, name = options.name or "template", hidden = options.hidden}
end

--- Compiles a template. Returns fn(scope, options), which is render() | nil, message, error.
function M.compile(text, name)
  local source = source_of(text, {name = name})
  local template, err = compiled(source)
  if not template then return nil, err.message, err end
  return function(scope, options) return render(template, source, scope, options or NOTHING) end
end

--- Renders a template. `scope` is a table of names, or an object of orrery.scope. Options: name
--- (for errors), dir (of the stack file, beside which filters of its own lie), format (its guard
--- refuses values that would change the structure of the file), hidden (errors do not show the
--- template's text), maxSteps (of work: 20 million, about five seconds). Returns text, is_secret,
--- locate(line) -> the template's line, and a list of what `later` stands in for | nil, {message,
--- summary, file, line, column, pending, others}.
function M.render(text, scope, options)
  if is_plain(text) then return text, false, same_line, {} end
  options = options or NOTHING
  local source = source_of(text, options)
  local template, err = compiled(source)
  if not template then return nil, err end
  return render(template, source, scope, options)
end

--- The value of a string of a stack: that of its `${}`, with its type, if it is nothing else; or
--- its text. Returns value, is_secret | nil, error.
function M.value(text, scope, options)
  if is_plain(text) then return text, false end
  options = options or NOTHING
  local source = source_of(text, options)
  local template, err = compiled(source)
  if not template then return nil, err end
  if not template.value then return render(template, source, scope, options) end
  local run
  run, err = start(template, source, scope, options)
  if not run then return nil, err end
  local ok, value = attempt(template.value, run)
  if not ok then return nil, value end
  return value, run.secret
end

return M
