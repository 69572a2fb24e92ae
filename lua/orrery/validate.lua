--- validate -- reads one layer of a stack against the schema: all problems at once, shorthand
-- written out, secrets and environment variables recognised. Pure: it returns a new value.
local core = require "orrery.core"
local schema = require "orrery.schema"
local secret = require "orrery.secret"
local suggest = require "orrery.suggest"

local M = {}

local MAX_DEPTH = 32
local MAX_VALUES = 200000

--- The path of a field: services.pds.config["pds.env"].
function M.child(path, key)
  if math.type(key) then return ("%s[%d]"):format(path, key) end
  if not key:find("^[%w_][%w_-]*$") then return ('%s["%s"]'):format(path, key) end
  return path == "" and key or path .. "." .. key
end

local function add(ctx, path, message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  ctx.problems[#ctx.problems + 1] =
    { path = path ~= "" and path or nil, message = message, file = ctx.file }
end

function M.is_list(value)
  local count = 0
  for key in pairs(value) do
    if math.type(key) ~= "integer" then return false end
    count = count + 1
  end
  return count == #value
end

local function got(value)
  if value == core.json.null then return "null" end
  if secret.is(value) then return "a secret" end
  if type(value) == "table" then
    if next(value) == nil then return "an empty table" end
    return M.is_list(value) and "a list" or "a table of names"
  end
  return "a " .. type(value)
end

local EXPECTS = {
  string = "a string", number = "a number", integer = "a whole number",
  seconds = "a number of seconds",
  ["function"] = "a function (only a Lua stack can have one)",
  boolean = "true or false", list = "a list", map = "a table of names", object = "a table of names",
  mode = 'octal text such as "0640"', any = "a value",
}

local function expects(node) return node.expects or EXPECTS[node.type] end

local function mismatch(ctx, node, value, path)
  add(ctx, path, "expected %s, got %s", expects(node), got(value))
end

local function one_of(node, value)
  for _, allowed in ipairs(node.enum) do if allowed == value then return true end end
  return false
end

local function check_enum(ctx, node, value, path)
  if one_of(node, value) then return value end
  local known = table.concat(node.enum, ", ")
  if node.later and node.later[value] then
    add(ctx, path, '"%s" is not supported yet by this version (there is: %s)', value, known)
  elseif #node.enum == 1 then
    add(ctx, path, '"%s" is not %s%s', value, known, suggest.hint(value, node.enum))
  else
    add(ctx, path, '"%s" is not one of %s%s', value, known, suggest.hint(value, node.enum))
  end
  return nil
end

local function fits(rule, name)
  if rule.max and #name > rule.max or not name:find(rule.pattern) then return false end
  return not rule.path or not (name:find("^/") or ("/" .. name .. "/"):find("/../", 1, true))
end

local readers = {}
local read

function readers.string(ctx, node, value, path)
  if node.scalar and (math.type(value) or type(value) == "boolean") then value = tostring(value) end
  if type(value) ~= "string" then return mismatch(ctx, node, value, path) end
  if value:find("\0", 1, true) then return add(ctx, path, "has a zero byte") end
  if node.enum then return check_enum(ctx, node, value, path) end
  local rule = node.name or (node.pattern and node)
  if rule and not fits(rule, value) then
    return add(ctx, path, '"%s" is not valid: %s', value, rule.says)
  end
  return node.private and secret.of(value) or value
end

local function in_range(ctx, node, value, path)
  if value ~= value or math.abs(value) == math.huge then
    return add(ctx, path, "expected a finite number")
  elseif node.above and value <= node.above then
    return add(ctx, path, "%s is not above %s", value, node.above)
  elseif node.min and node.max and (value < node.min or value > node.max) then
    return add(ctx, path, "%s is not from %s to %s", value, node.min, node.max)
  elseif node.min and value < node.min or node.max and value > node.max then
    return add(ctx, path, "%s is not %s %s", value, node.min and "at least" or "at most",
      node.min or node.max)
  end
  return value
end

local function number(ctx, node, value, path)
  if ctx.coerce and type(value) == "string" then value = tonumber(value) or value end
  if type(value) ~= "number" then return mismatch(ctx, node, value, path) end
  return in_range(ctx, node, value, path)
end

readers.number = number

function readers.seconds(ctx, node, value, path)
  local result = number(ctx, node, value, path)
  if result and result > 1e9 then return add(ctx, path, "%s is more than 1e9 seconds", value) end
  return result
end

function readers.integer(ctx, node, value, path)
  local result = number(ctx, node, value, path)
  if result and not math.tointeger(result) then return mismatch(ctx, node, value, path) end
  return math.tointeger(result)
end

local TRUTH = { ["true"] = true, ["false"] = false }

function readers.boolean(ctx, node, value, path)
  if ctx.coerce and TRUTH[value] ~= nil then value = TRUTH[value] end
  if type(value) ~= "boolean" then return mismatch(ctx, node, value, path) end
  return value
end

readers["function"] = function(ctx, node, value, path)
  if type(value) ~= "function" then return mismatch(ctx, node, value, path) end
  return value
end

function readers.mode(ctx, node, value, path)
  if type(value) ~= "string" or not value:find("^0?[0-7][0-7]?[0-7]?$") then
    return mismatch(ctx, node, value, path)
  end
  return tonumber(value, 8)
end

local function any_table(ctx, node, value, path, depth)
  if depth >= MAX_DEPTH then return add(ctx, path, "is nested more than %d deep", MAX_DEPTH) end
  local result = {}
  for _, key in ipairs(M.keys(value)) do
    if type(key) ~= "string" and math.type(key) ~= "integer" then
      return add(ctx, path, "has a key that is neither text nor a position: %s", got(key))
    end
    result[key] = read(ctx, node, value[key], M.child(path, key), depth + 1)
  end
  return result
end

function readers.any(ctx, node, value, path, depth)
  local kind = type(value)
  if kind == "table" then return any_table(ctx, node, value, path, depth) end
  if kind == "function" or kind == "thread" or (kind == "userdata" and value ~= core.json.null) then
    return add(ctx, path, "expected a value, got a %s", kind)
  end
  if ctx.coerce and kind == "string" then ctx.texts[path] = true end
  return value
end

--- That no number of a list is below the one before it.
local function check_rising(ctx, list, path)
  for i = 2, #list do
    if list[i] < list[i - 1] then
      add(ctx, M.child(path, i), "%s is below the %s before it", list[i], list[i - 1])
    end
  end
end

function readers.list(ctx, node, value, path, depth)
  if type(value) ~= "table" or not M.is_list(value) then return mismatch(ctx, node, value, path) end
  if node.nonempty and #value == 0 then return add(ctx, path, "is empty") end
  if node.most and #value > node.most then
    return add(ctx, path, "has %d items, and at most %d are known", #value, node.most)
  end
  local result = {}
  for i, item in ipairs(value) do
    result[#result + 1] = read(ctx, node.of, item, M.child(path, i), depth + 1)
  end
  if node.rising and #result == #value then check_rising(ctx, result, path) end
  return result
end

local function by_text(a, b)
  if math.type(a) and math.type(b) then return a < b end
  return tostring(a) < tostring(b)
end

--- The keys of a table, sorted, so that problems come in a stable order.
function M.keys(map)
  local keys, all_text = {}, true
  for key in pairs(map) do
    keys[#keys + 1] = key
    all_text = all_text and type(key) == "string"
  end
  table.sort(keys, not all_text and by_text or nil)
  return keys
end

--- {"a", {name = "b", ...}} as {a = {}, b = {...}}.
local function from_list(ctx, node, value, path)
  local result, by = {}, node.listed_by
  for i, item in ipairs(value) do
    local fields = type(item) == "table" and item or { [by] = item }
    local name = fields[by]
    if type(name) ~= "string" then
      add(ctx, M.child(path, i), "needs a %s, as text", by)
    elseif result[name] then
      add(ctx, M.child(path, i), '"%s" is listed twice', name)
    else
      result[name] = fields
    end
  end
  return result
end

local function entry(ctx, node, key, value, path, depth)
  if type(key) ~= "string" then
    add(ctx, path, "mixes a list with names")
  elseif not fits(node.keys, key) then
    add(ctx, M.child(path, key), '"%s" is not a valid name: %s', key, node.keys.says)
  else
    return read(ctx, node.of, value, M.child(path, key), depth + 1)
  end
end

function readers.map(ctx, node, value, path, depth)
  if type(value) ~= "table" then return mismatch(ctx, node, value, path) end
  if #value > 0 and M.is_list(value) then
    if not node.listed_by then return mismatch(ctx, node, value, path) end
    value = from_list(ctx, node, value, path)
  end
  local result = {}
  for _, key in ipairs(M.keys(value)) do
    result[key] = entry(ctx, node, key, value[key], path, depth)
    local named = node.listed_by and type(result[key]) == "table" and result[key][node.listed_by]
    if named then
      if named ~= key then add(ctx, M.child(path, key), '%s is "%s"', node.listed_by, named) end
      result[key][node.listed_by] = nil
    end
  end
  return result
end

local function unknown(ctx, node, key, path)
  local names = suggest.names(node.fields)
  if type(key) ~= "string" then
    add(ctx, path, "expected %s, got a list", expects(node))
  elseif node.later and node.later[key] then
    add(ctx, M.child(path, key), "is not supported yet by this version")
  else
    add(ctx, M.child(path, key), "unknown key%s", suggest.hint(key, names))
  end
end

local shorthand = {}

function readers.object(ctx, node, value, path, depth)
  if type(value) ~= "table" then return mismatch(ctx, node, value, path) end
  local result = {}
  for _, key in ipairs(M.keys(value)) do
    local field = node.fields[key]
    if not field then
      unknown(ctx, node, key, path)
      if type(key) ~= "string" then break end
    else
      local name = field.alias or key
      if field.alias and value[field.alias] ~= nil then
        add(ctx, M.child(path, key), "is the same as %s; give one of them", field.alias)
      end
      result[name] = read(ctx, field, value[key], M.child(path, key), depth + 1)
    end
  end
  if node.shorthand then shorthand[node.shorthand](ctx, result, path) end
  return result
end

--- healthEndpoint = "/x" is an http healthCheck, and healthCheck is healthChecks.ready.
function shorthand.health(ctx, service, path)
  local endpoint, check = service.healthEndpoint, service.healthCheck
  service.healthEndpoint, service.healthCheck = nil, nil
  if endpoint then
    if check and check.strategy and check.strategy ~= "http" then
      add(ctx, M.child(path, "healthEndpoint"),
        "is for http checks, but healthCheck says %s; keep one",
        check.strategy)
    end
    check = check or {}
    check.strategy, check.endpoint = "http", check.endpoint or endpoint
  end
  if not check then return end
  service.healthChecks = service.healthChecks or {}
  if service.healthChecks.ready then
    add(ctx, M.child(path, "healthChecks.ready"), "is the same as healthCheck; give one of them")
  end
  check.name = nil
  service.healthChecks.ready = check
end

local function accepts(ctx, node, value)
  local kind = type(value)
  if node.type == "string" then
    return kind == "string" and (not node.enum or one_of(node, value))
      and (not node.pattern or value:find(node.pattern) ~= nil)
  elseif node.type == "integer" or node.type == "number" then
    return kind == "number" or (ctx.coerce and tonumber(value) ~= nil)
  elseif node.type == "function" then
    return kind == "function"
  elseif node.type == "list" then
    return kind == "table" and M.is_list(value)
  end
  return kind == "table" and node.type == "object"
end

function readers.either(ctx, node, value, path, depth)
  for _, branch in ipairs(node.of) do
    if accepts(ctx, branch, value) then return read(ctx, branch, value, path, depth) end
  end
  return mismatch(ctx, node, value, path)
end

local function only_keys(value, first, second)
  for key in pairs(value) do if key ~= first and key ~= second then return false end end
  return value[first] ~= nil
end

local SCALAR = { string = true, number = true, integer = true, seconds = true, boolean = true,
  mode = true, either = true, any = true }

--- {secret = {...}} as a secret.
local function written_secret(ctx, node, value, path)
  local complaint = secret.complaint(value.secret)
  if complaint then return add(ctx, path, "secret: %s", complaint) end
  return secret.new(value.secret), node
end

--- {env = "NAME", default = ...}: the variable's text, read as the node wants it.
local function from_env(ctx, node, value, path, depth)
  local text = os.getenv(value.env)
  if text == nil then
    if value.default ~= nil then return read(ctx, node, value.default, path, depth) end
    return add(ctx, path, "the environment variable %s is not set; set it, or give a default",
      value.env)
  end
  local before = ctx.coerce
  ctx.coerce = true
  local result = read(ctx, node, text, path, depth)
  ctx.coerce = before
  return result
end

local function read_secret(ctx, node, value, path)
  if node.secret or node.type == "any" then return value end
  if node.argv then
    return add(ctx, path, "a secret may not be part of a command line, which everyone can read; " ..
      "pass it in env or in a file of config")
  end
  return add(ctx, path, "expected %s, got a secret", expects(node))
end

--- A list item or branch that is a command line refuses secrets with its own words.
local function placeholder(ctx, node, value, path, depth)
  if secret.is(value) then return true, read_secret(ctx, node, value, path) end
  if not SCALAR[node.type] then return false end
  if only_keys(value, "secret") and type(value.secret) == "table" then
    local made = written_secret(ctx, node, value, path)
    return true, made and read_secret(ctx, node, made, path)
  end
  if only_keys(value, "env", "default") and type(value.env) == "string" then
    return true, from_env(ctx, node, value, path, depth)
  end
  return false
end

local EMPTY_FOR_NULL = { object = true, map = true }
local STRUCTURED = { object = true, map = true, list = true }

function read(ctx, node, value, path, depth)
  ctx.count = ctx.count + 1
  if ctx.count > MAX_VALUES then
    if not ctx.full then add(ctx, path, "there are more than %d values", MAX_VALUES) end
    ctx.full = true
    return nil
  end
  if ctx.coerce and STRUCTURED[node.type] and type(value) == "string"
    and value:find("^%s*[%[{]") then
    value = core.json.decode(value) or value
  end
  if value == core.json.null and EMPTY_FOR_NULL[node.type] then value = {} end
  if type(value) == "table" then
    local handled, result = placeholder(ctx, node, value, path, depth)
    if handled then return result end
  end
  return readers[node.type](ctx, node, value, path, depth)
end

--- Reads `value` against a node of the schema. `options`: file (named in problems), path (of the
-- value), coerce (text stands for numbers and booleans), problems (a list to add to), texts (gets
-- the paths of free values that were text). Returns the value as far as it is valid, and the
-- problems.
function M.read(node, value, options)
  local ctx = { problems = options.problems or {}, file = options.file, coerce = options.coerce,
    texts = options.texts or {}, count = 0 }
  return read(ctx, node, value, options.path or "", 0), ctx.problems
end

--- Reads a whole layer of a stack.
function M.layer(value, options) return M.read(schema.stack, value, options) end

return M
