--- runtime -- the helpers that compiled templates call: all that they reach.
---
--- `run` is one rendering: {source, known, get, reveal, filters, foreign, guard, unwritten, out,
--- at, n, size, passes, steps, site, sites, secret, later}. Once a secret was looked at, run.secret
--- is true, for good: the whole result counts as secret, and errors of filters are not shown,
--- since they may quote it.
local core = require "orrery.core"
local errors = require "orrery.template.errors"
local filters = require "orrery.filter"
local secret = require "orrery.secret"
local suggest = require "orrery.suggest"
local values = require "orrery.template.values"

local M = {}

M.MAX_OUTPUT = 16 * 1024 * 1024
local MAX_PASSES = 1000000 -- of all loops of one rendering together
M.MAX_STEPS = 20000000 -- of work: five seconds
local STEPS_IN_SECOND = M.MAX_STEPS // 5
local MAX_SMALL = 256 -- bytes of a text whose work is not worth counting

local null = values.null
local helpers = {null = null, type = type, concat = table.concat}

local function fail(run, at, summary, more) errors.raise(run.source, at, summary, more) end

--- Counts work: one step is about what one operator takes, a quarter of a microsecond.
function M.spend(run, steps, at)
  run.steps = run.steps + steps
  if run.steps > run.max_steps then
    fail(run, at, ("this is too much work for a template: more than %d steps"):format(
      run.max_steps))
  end
end
local spend = M.spend

-- The text behind a secret. `run.reveal` may wait.
local function reveal(run, value)
  run.secret = true
  local text, problem = run.reveal(value)
  if text then return text end
  error({message = tostring(problem)}, 0)
end

--- The text of a secret; any other value as it is.
function M.open(run, value, at)
  if not secret.is(value) then return value end
  local ok, text = pcall(reveal, run, value)
  if ok then return text end
  if type(text) ~= "table" or not text.message then error(text, 0) end
  fail(run, at, text.message)
end
local open = M.open

-- ---- output ----

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

function helpers.too_long(run, at) fail(run, at, "the result is over 16 MiB") end

--- A value as text; `name` is for errors.
function helpers.text(run, value, at, name)
  if type(value) == "string" then return value end
  if math.type(value) == "integer" then return value .. "" end
  value = open(run, value, at)
  local text, refusal = values.text(value)
  return text or refuse_text(run, value, refusal, at, name)
end

--- `${}`: a value as text that may stand in a file of the format. `by` is the filter that wrote
--- it, if one did.
function helpers.put(run, value, at, by, name)
  local text = helpers.text(run, value, at, name)
  if run.guard and not (by and not run.unwritten[by]) then
    local ok, why = run.guard(text)
    if not ok then fail(run, at, ("'%s' %s"):format(name, why)) end
  end
  return text
end

--- A text that was put together: counted, since it may be put together again.
function helpers.sized(run, text, at)
  run.size = run.size + #text
  if run.size > M.MAX_OUTPUT then helpers.too_long(run, at) end
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

--- `object.key`, the usual case of index(): a map that has the key.
function helpers.field(run, object, key, at, name)
  if type(object) == "table" then
    local value = object[key]
    if value ~= nil then return value end
  end
  return helpers.index(run, object, key, at, name, true)
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
  if math.type(a) and math.type(b) then return a, b end
  a, b = open(run, a, at), open(run, b, at)
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
  if kind == type(b) and (kind == "number" or kind == "string") then
    if kind == "string" then spend(run, #a >> 6, at) end
    return COMPARE[op](a, b)
  end
  fail(run, at, ("'%s' needs two numbers or two strings, not a %s and a %s"):format(op,
    values.kind(a), values.kind(b)))
end

function helpers.equal(run, a, b, at)
  a, b = open(run, a, at), open(run, b, at)
  local kind = type(a)
  if kind ~= type(b) then return false end
  if kind == "string" then spend(run, #a >> 6, at) end
  if kind ~= "table" then return a == b end
  return values.equal(a, b, function() spend(run, 1, at) end)
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

local function fields_of(run, map, at)
  local keys, view, items = values.keys(map), values.view_of(map), {}
  for i, key in ipairs(keys) do
    items[i] = view and view_field(run, view, key, at, tostring(key), true) or map[key]
    if items[i] == nil then items[i] = false end
  end
  return items, keys
end

--- `for`: the items of a list, or those of a map by its sorted keys and these keys. All passes are
--- counted before the first; `cost` is the work of one.
function helpers.each(run, value, at, name, cost)
  if type(value) ~= "table" or secret.is(value) then
    fail(run, at, ("'%s' is a %s; 'for' needs a list or a map"):format(name, values.kind(value)))
  end
  local items, keys = value, nil
  if not values.is_list(value) then items, keys = fields_of(run, value, at) end
  run.passes = run.passes + #items
  if run.passes > MAX_PASSES then fail(run, at, "the loops ran more than a million times") end
  spend(run, #items * cost, at)
  return items, keys
end

-- ---- filters ----

-- A value as a filter gets it: null is nil, and tables are plain, the work of which is counted.
local function argument(run, value, at)
  if value == null then return nil end
  if type(value) ~= "table" then return value end
  local plain, why = values.plain(value, function(found) return open(run, found, at) end,
    function() spend(run, 1, at) end)
  if plain == nil then fail(run, at, why) end
  return plain
end

local function are_services(value)
  if type(value) ~= "table" or value[1] == nil then return false end
  for _, item in ipairs(value) do if not values.view_of(item) then return false end end
  return true
end

-- The first argument: a list of services stays one for the filters that can do with it.
local function subject(run, filter, value, at)
  if not (filters.takes_services(filter) and are_services(value)) then
    return argument(run, value, at)
  end
  spend(run, #value, at)
  return value
end

--- An error that the filter at `site` raised.
function M.refused(run, site, problem)
  if run.secret then problem = "it refuses a value (not shown, since there are secrets in it)" end
  return errors.new(run.source, site.pos, ("%s: %s"):format(site.name, tostring(problem)))
end

-- What a filter returned: nil is null, and what is no value is refused.
local function checked(run, result, site)
  if result == nil then return null end
  local kind = type(result)
  if kind == "function" or kind == "userdata" or kind == "thread" then
    if result ~= null then
      fail(run, site.pos, ("%s: it returned a %s"):format(site.name, kind))
    end
  end
  return result
end

local function is_large(value)
  local kind = type(value)
  return kind == "table" or kind == "string" and #value > MAX_SMALL
end

-- A filter of the user's, or one that is given much, may take long: its time counts as work.
local function call_timed(run, site, filter, ...)
  local began = os.clock()
  local result = filter(...)
  run.site = false
  spend(run, math.floor((os.clock() - began) * STEPS_IN_SECOND), site.pos)
  return result
end

--- `value | filter`. While a filter runs, run.site says which: the error it raises has no place.
function helpers.apply(run, site, filter, value)
  local result
  if type(value) == "string" and #value <= MAX_SMALL and not run.foreign then
    run.site = site
    result = filter(value)
  else
    local place, timed = run.sites[site], run.foreign or is_large(value)
    value = subject(run, filter, value, place.pos)
    run.site = site
    if timed then result = call_timed(run, place, filter, value) else result = filter(value) end
  end
  run.site = false
  if type(result) == "string" then return result end
  return checked(run, result, run.sites[site])
end

--- `value | filter(...)`.
function helpers.apply_many(run, site, filter, ...)
  local args, place, timed = table.pack(...), run.sites[site], run.foreign
  local result
  args[1] = subject(run, filter, args[1], place.pos)
  for i = 1, args.n do
    timed = timed or is_large(args[i])
    if i > 1 then args[i] = argument(run, args[i], place.pos) end
  end
  run.site = site
  if timed then result = call_timed(run, place, filter, table.unpack(args, 1, args.n))
  else result = filter(table.unpack(args, 1, args.n)) end
  run.site = false
  return checked(run, result, place)
end

--- `value | later(until_then)`: the second while the first is declared but not known yet.
function helpers.later(run, value, until_then)
  local ok, result = pcall(value)
  if ok then return result end
  if not errors.is(result) or not result.pending then error(result, 0) end
  run.later[#run.later + 1] = result.summary
  return until_then
end

--- The helpers, and their names, in one order: a compiled template gets them as its arguments.
M.names, M.helpers = {}, {}
for name in pairs(helpers) do M.names[#M.names + 1] = name end
table.sort(M.names)
for i, name in ipairs(M.names) do M.helpers[i] = helpers[name] end

return M
