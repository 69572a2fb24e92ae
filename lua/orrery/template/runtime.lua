--- runtime -- the helpers that compiled templates call: their whole environment.
---
--- `run` is one rendering: {source, get, reveal, dir, guard, written_by, out, at, n, size, passes,
--- secret, later}. Once a secret was looked at, run.secret is true, for good: the whole result
--- counts as secret, and errors of filters are not shown, since they may quote it.
local core = require "orrery.core"
local errors = require "orrery.template.errors"
local plugins = require "orrery.template.plugins"
local secret = require "orrery.secret"
local suggest = require "orrery.suggest"
local values = require "orrery.template.values"

local M = {}

local MAX_OUTPUT = 16 * 1024 * 1024
local MAX_PASSES = 1000000 -- of all loops of one rendering together

local null = values.null
local helpers = {null = null}

local function fail(run, at, summary, more) errors.raise(run.source, at, summary, more) end

-- The text behind a secret. `run.reveal` may wait.
local function reveal(run, value)
  run.secret = true
  local text, problem = run.reveal(value)
  if text then return text end
  error({message = tostring(problem)}, 0)
end

local function open(run, value, at)
  if not secret.is(value) then return value end
  local ok, text = pcall(reveal, run, value)
  if ok then return text end
  if type(text) ~= "table" or not text.message then error(text, 0) end
  fail(run, at, text.message)
end

local function filter_argument(run, value, at)
  if type(value) ~= "table" then
    if value == null then return nil end
    return value
  end
  local plain, why = values.plain(value, function(found) return open(run, found, at) end)
  if plain == nil then fail(run, at, why) end
  return plain
end

-- ---- output ----

function helpers.emit(run, text, at)
  run.size = run.size + #text
  if run.size > MAX_OUTPUT then fail(run, at, "the result is over 16 MiB") end
  local n = run.n + 1
  run.n, run.out[n], run.at[n] = n, text, at
end

local REFUSED = {
  null = "'%s' has no value; set it, or use | default(...)",
  array = "'%s' is a list; use | join(\", \") or | json",
  object = "'%s' is a map; name a field of it, or use | json",
}

local function refuse_text(run, value, why, at, name)
  if values.view_of(value) then
    fail(run, at, ("'%s' is a service; name one of its fields, such as %s.url"):format(name, name))
  end
  fail(run, at, (REFUSED[why] or "'%s': " .. why):format(name))
end

--- `${}`: writes a value. `by` is the filter that wrote it, if one did; `name` is for errors.
function helpers.put(run, value, at, by, name)
  value = open(run, value, at)
  local text, refusal = values.text(value)
  if not text then refuse_text(run, value, refusal, at, name) end
  if run.guard and not (by and run.written_by[by]) then
    local ok, why = run.guard(text)
    if not ok then fail(run, at, ("'%s' %s"):format(name, why)) end
  end
  helpers.emit(run, text, at)
end

--- The text that `body` writes: a quoted string with `${}` or `%{}` in it.
function helpers.capture(run, body)
  local out, at, n, guard = run.out, run.at, run.n, run.guard
  run.out, run.at, run.n, run.guard = {}, {}, 0, nil
  body()
  local text = table.concat(run.out, "", 1, run.n)
  run.out, run.at, run.n, run.guard = out, at, n, guard
  return text
end

-- ---- names and fields ----

function helpers.get(run, name, at)
  local value, problem = run.get(name)
  if value == nil then
    local message = problem.message
    if name:find("-", 1, true) then
      message = message .. "; for a subtraction put blanks around the '-'"
    end
    fail(run, at, message, {pending = problem.pending or false})
  end
  return value
end

-- A key as it may be shown: one that was worked out may come from a secret.
local function shown(run, key, literal)
  return (literal or not run.secret) and tostring(key) or "..."
end

local function refuse_field(run, value, key, at, name)
  if value == false then
    fail(run, at, ("'%s' is absent here (it is false), so it has no %s; put it into %%{ if %s }")
      :format(name, key, name))
  end
  if value == null then fail(run, at, ("'%s' has no value, so it has no fields"):format(name)) end
  fail(run, at, ("'%s' is a %s, which has no fields"):format(name, values.kind(value)))
end

local function missing_field(run, value, key, at, name)
  if values.is_list(value) then
    fail(run, at, ("'%s' has %d items; there is no [%s]"):format(name, #value, key))
  end
  local names = {}
  for _, field in ipairs(values.keys(value)) do names[#names + 1] = tostring(field) end
  fail(run, at, ("'%s' has no field '%s'%s"):format(name, key, suggest.hint(key, names)))
end

local function view_field(run, view, key, at, name, literal)
  local value, problem = view.index(key)
  if value ~= nil then return value end
  local hide = run.secret and not literal
  fail(run, at, hide and ("'%s' has no such field"):format(name) or problem.message,
    {pending = problem.pending or false})
end

-- Where the field is in the Lua table: the items of a list count from 0 here.
local function place_of(object, key)
  local number = math.type(key) and math.tointeger(key)
  if values.is_list(object) then return number and number + 1 end
  return key
end

--- `object.key` and `object[key]`; `literal` says that the key stands in the template itself.
function helpers.index(run, object, key, at, name, literal)
  key = open(run, key, at)
  if type(object) ~= "table" or secret.is(object) then
    refuse_field(run, object, shown(run, key, literal), at, name)
  end
  if type(key) ~= "string" and type(key) ~= "number" then
    fail(run, at, "a field is named by a string or a number, not by a " .. values.kind(key))
  end
  local view = values.view_of(object)
  if view then return view_field(run, view, key, at, name, literal) end
  local place, value = place_of(object, key), nil
  if place ~= nil then value = object[place] end
  if value == nil then missing_field(run, object, shown(run, key, literal), at, name) end
  return value
end

-- ---- operators ----

--- What counts as true: everything but false and null, as an absent service is false.
function helpers.truth(run, value, at)
  value = open(run, value, at)
  return value ~= false and value ~= null
end

function helpers.choose(which, yes, no)
  if which then return yes() end
  return no()
end

local function numbers(run, a, b, at)
  a, b = open(run, a, at), open(run, b, at)
  if type(a) == "number" and type(b) == "number" then return a, b end
  local wrong = type(a) ~= "number" and a or b
  fail(run, at, ("this needs two numbers, and one side is a %s%s"):format(values.kind(wrong),
    type(wrong) == "string" and "; use | number" or ""))
end

local function arithmetic(operate)
  return function(run, a, b, at)
    a, b = numbers(run, a, b, at)
    return operate(a, b, run, at)
  end
end

local function not_zero(b, run, at)
  if b == 0 then fail(run, at, "division by zero") end
end

helpers.add = arithmetic(function(a, b) return a + b end)
helpers.subtract = arithmetic(function(a, b) return a - b end)
helpers.multiply = arithmetic(function(a, b) return a * b end)
helpers.divide = arithmetic(function(a, b, run, at)
  not_zero(b, run, at)
  return a / b
end)
helpers.modulo = arithmetic(function(a, b, run, at) -- the sign of the dividend, as in HCL
  not_zero(b, run, at)
  return math.fmod(a, b)
end)

function helpers.negate(run, value, at)
  value = open(run, value, at)
  if type(value) == "number" then return -value end
  fail(run, at, "'-' needs a number, and this is a " .. values.kind(value))
end

local COMPARE = {
  ["<"] = function(a, b) return a < b end, ["<="] = function(a, b) return a <= b end,
  [">"] = function(a, b) return a > b end, [">="] = function(a, b) return a >= b end,
}

function helpers.compare(run, op, a, b, at)
  a, b = open(run, a, at), open(run, b, at)
  local kind = type(a)
  if kind == type(b) and (kind == "number" or kind == "string") then return COMPARE[op](a, b) end
  fail(run, at, ("'%s' needs two numbers or two strings, not a %s and a %s"):format(op,
    values.kind(a), values.kind(b)))
end

function helpers.equal(run, a, b)
  return values.equal(open(run, a, 1), open(run, b, 1))
end

function helpers.list(items) return core.json.array(items) end

function helpers.object(run, at, ...)
  local result, args = {}, table.pack(...)
  for i = 1, args.n, 2 do
    local key = values.text(open(run, args[i], at))
    if not key then fail(run, at, "a key must be a string, a number or a boolean") end
    result[key] = args[i + 1]
  end
  return result
end

-- ---- loops ----

local function pass(run, at)
  run.passes = run.passes + 1
  if run.passes > MAX_PASSES then fail(run, at, "the loops ran more than a million times") end
end

local function each_item(run, list, at)
  return function(_, i)
    local value = list[i + 1]
    if value == nil then return nil end
    pass(run, at)
    return i + 1, i, value
  end, nil, 0
end

local function each_field(run, map, at)
  local keys, view = values.keys(map), values.view_of(map)
  return function(_, i)
    local key = keys[i + 1]
    if key == nil then return nil end
    pass(run, at)
    if view then return i + 1, key, view_field(run, view, key, at, tostring(key), true) end
    return i + 1, key, map[key]
  end, nil, 0
end

--- `for`: the items of a list with their index from 0, or the fields of a map by key, sorted.
function helpers.each(run, value, at, name)
  if type(value) ~= "table" or secret.is(value) then
    fail(run, at, ("'%s' is a %s; 'for' needs a list or a map"):format(name, values.kind(value)))
  end
  if values.is_list(value) then return each_item(run, value, at) end
  return each_field(run, value, at)
end

-- ---- filters ----

local function find_filter(run, name, at)
  local filter = run.filters[name]
  if filter then return filter end
  local message
  filter, message = plugins.find("filter", name, run.dir)
  if not filter then fail(run, at, message) end
  run.filters[name] = filter
  return filter
end

local function refused(run, name, problem, at)
  if errors.is(problem) then error(problem, 0) end
  if run.secret then problem = "it refuses a value (not shown, since there are secrets in it)" end
  fail(run, at, ("%s: %s"):format(name, tostring(problem)))
end

--- `value | name(...)` and `name(value, ...)`.
function helpers.call(run, at, name, ...)
  local filter, args = find_filter(run, name, at), table.pack(...)
  for i = 1, args.n do args[i] = filter_argument(run, args[i], at) end
  local ok, result = pcall(filter, table.unpack(args, 1, args.n))
  if not ok then refused(run, name, result, at) end
  if result == nil then return null end
  local kind = type(result)
  if kind == "function" or kind == "userdata" or kind == "thread" then
    if result ~= null then fail(run, at, ("%s: it returned a %s"):format(name, kind)) end
  end
  return result
end

--- `value | later(until_then)`: the second while the first is declared but not known yet.
function helpers.later(run, value, until_then)
  local ok, result = pcall(value)
  if ok then return result end
  if not errors.is(result) or not result.pending then error(result, 0) end
  run.later[#run.later + 1] = result.summary
  return until_then
end

M.environment = helpers

return M
