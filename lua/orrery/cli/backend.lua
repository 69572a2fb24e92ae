--- backend -- the flags that name a discovery backend, made from the schema, and opening what they
-- name: instead of a stack's, or laid over it.
local args = require "orrery.cli.args"
local core = require "orrery.core"
local places = require "orrery.places"
local schema = require "orrery.schema"
local session = require "orrery.cli.session"
local suggest = require "orrery.suggest"
local validate = require "orrery.validate"

local M = {}

local FIELDS = schema.discovery.fields

-- The key that says where a backend is.
local PLACE = { consul = "consulAddress", etcd = "etcdEndpoints", dns = "dnsResolver",
  file = "filePath", env = "envFile" }

-- ---- the flags ----

--- consulEnableTLS -> consul-enable-tls
local function flag_of(key) return (key:gsub("(%l)(%u)", "%1-%2"):lower()) end

local VALUES = { backend = "KIND", filePath = "DIR", fallback = "KIND" }

local function value_of(key, field)
  if field.type == "boolean" then return nil end
  if VALUES[key] then return VALUES[key] end
  if key:find("File$") then return "FILE" end
  if field.type == "seconds" then return "SECONDS" end
  return field.type == "either" and "HOST:PORT" or "TEXT"
end

local function is_list(field) return field.type == "either" or field.type == "list" end

local function has_flag(key, field)
  return field.of_backend or key == "backend" or key == "fallback"
end

local function order(a, b)
  local first = { backend = 1, fallback = 2 }
  local x, y = first[a] or 3, first[b] or 3
  if x ~= y then return x < y end
  return a < b
end

local function default_text(default)
  if type(default) == "table" then return table.concat(default, ",") end
  return default
end

local function summary_of(field)
  local default = default_text(field.default)
  return default == nil and field.doc or ("%s (%s)"):format(field.doc, default)
end

local keys = {}
for key, field in pairs(FIELDS) do
  if has_flag(key, field) then keys[#keys + 1] = key end
end
table.sort(keys, order)

--- The flags, for a command's table of options.
M.options = {}
for i, key in ipairs(keys) do
  local field = FIELDS[key]
  M.options[i] = { name = flag_of(key), value = value_of(key, field),
    many = is_list(field) or nil, hidden = field.secret, summary = summary_of(field),
    section = "Discovery backend (instead of the stack's)" }
end

--- A command's own options, and these.
function M.with(options)
  return table.move(M.options, 1, #M.options, #options + 1, options)
end

-- ---- what was given ----

local function is_path(key) return key:find("File$") ~= nil or key == "filePath" end

local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  return (core.file.realpath(".") or ".") .. "/" .. path
end

local function split(list)
  local all = {}
  for _, text in ipairs(list) do
    for word in text:gmatch("[^,]+") do all[#all + 1] = word end
  end
  return all
end

local function read_value(key, value, problems)
  local field, found = FIELDS[key], {}
  if field.secret then
    problems[#problems + 1] = ("--%s: everyone can read a command line; put it into a file, and "
      .. "give --%s-file"):format(flag_of(key), flag_of(key))
    return nil
  end
  if is_list(field) then value = split(value) end
  if is_path(key) then value = absolute(value) end
  local result = validate.read(field, value, { coerce = true,
    problems = found, path = "--" .. flag_of(key) })
  for _, problem in ipairs(found) do
    problems[#problems + 1] = ("--%s: %s"):format(flag_of(key), problem.message)
  end
  return result
end

--- A flag for another backend than those that are used is a mistake.
local function check_used(given, discovery, problems)
  local used = { [discovery.backend] = true }
  for _, name in ipairs(discovery.fallback or {}) do used[name] = true end
  for _, key in ipairs(keys) do
    local owner = FIELDS[key].of_backend
    if given[key] ~= nil and owner and not used[owner] then
      problems[#problems + 1] = ("--%s is for the backend %s, and the backend is %s; %s")
        :format(flag_of(key), owner, discovery.backend, "add --backend " .. owner)
    end
  end
end

local function check_kind(name, dir, problems)
  if not name or require("orrery.discovery.options").is_builtin(name) then return end
  if require("orrery.plugin").find("backend", name, dir) then return end
  problems[#problems + 1] = ("--backend: %q is not one of %s, nor a file of backends/%s")
    :format(name, table.concat(schema.backends, ", "), suggest.hint(name, schema.backends))
end

local function read_flags(ctx, problems)
  local given = {}
  for _, key in ipairs(keys) do
    local value = ctx.options[flag_of(key)]
    if value ~= nil then given[key] = read_value(key, value, problems) end
  end
  return given
end

--- Whether a flag names a backend, or where one is.
function M.is_named(ctx)
  for _, key in ipairs(keys) do if ctx.options[flag_of(key)] ~= nil then return true end end
  return false
end

--- A stack is meant when one is named, or when no flag names a backend.
local function wants_stack(ctx, given, problems)
  local named = ctx.options.file or os.getenv("ORRERY_STACK") or ""
  return named ~= "" or next(given) == nil and #problems == 0
end

--- Where no stack was named and none is here, one need not be meant.
local function stack_of(ctx)
  local stack, problems = session.try_stack(ctx)
  if stack then return stack end
  if not session.is_without_stack(ctx) then session.refuse(ctx, problems) end
  session.fail(session.INVALID, "there is no stack in %s: name one with -f, or a discovery backend "
    .. "with --backend (%s)", core.file.realpath("."), table.concat(schema.backends, ", "))
end

local function laid_over(below, given)
  local result = {}
  for key, value in pairs(below) do result[key] = value end
  for key, value in pairs(given) do result[key] = value end
  return result
end

--- What the command line says, and the stack if one is meant: {discovery, node, ttl, how, stack}.
-- What is wrong with the flags is added to `problems`, which M.refuse() tells. `alone`: no stack is
-- meant.
function M.read(ctx, problems, alone)
  local given = read_flags(ctx, problems)
  local stack = not alone and wants_stack(ctx, given, problems) and stack_of(ctx) or nil
  local discovery = laid_over(stack and stack.discovery or { backend = FIELDS.backend.default },
    given)
  local dir = stack and stack.dir or core.file.realpath(".")
  check_kind(given.backend, dir, problems)
  check_used(given, discovery, problems)
  return { discovery = discovery, stack = stack, node = places.node(ctx.options.node),
    ttl = discovery.registrationTtl or FIELDS.registrationTtl.default,
    how = { dir = dir, folder = stack and stack.dirs.discovery or places.discovery(),
      secrets = stack and require("orrery.secret").open(stack.dirs.state .. "/secrets") or nil,
      env_file = stack and stack.dirs.state .. "/services.env" or nil,
      cache = stack and stack.dirs.state .. "/last-known" or nil } }
end

--- Ends the command if there are problems, with all of them.
function M.refuse(problems)
  if #problems == 1 then args.misuse("%s", problems[1]) end
  if #problems > 1 then
    args.misuse("there are %d problems:\n  %s", #problems, table.concat(problems, "\n  "))
  end
end

-- ---- opening, and failing ----

local function named(plan, key)
  local where = plan.stack and (" (discovery.%s)"):format(key) or ""
  return ("--%s%s"):format(flag_of(key), where)
end

-- Nobody answered; any other failure is somebody's answer, or ours, and says what it is about.
local UNREACHED = { refused = true, timeout = true }

local function is_unreached(message, code)
  return UNREACHED[code] or message:find("no such name", 1, true) ~= nil
end

local function remedy(plan, message, code)
  local kind = plan.discovery.backend
  if kind == "file" or kind == "env" then
    return ("; mend it, or give another place with %s"):format(named(plan, PLACE[kind]))
  elseif PLACE[kind] and is_unreached(message, code) then
    return ("; is it running there? Give its address with %s"):format(named(plan, PLACE[kind]))
  end
  return ""
end

--- Ends the command, as the backend failed.
function M.fail(plan, message, code)
  if code == "invalid" and not tostring(message):find("^Cannot %l+ .-discovery backend") then
    session.fail(session.USAGE, "%s", message)
  end
  session.fail(session.UNREACHABLE, "%s%s", message, remedy(plan, tostring(message), code))
end

--- The discovery (orrery.discovery) of what M.read() gave. `doing`: what for ("query").
function M.open_plan(plan, doing)
  plan.how.doing = doing or "query"
  local discovery, message, code = require("orrery.discovery").open(plan.discovery, plan.how)
  if discovery then return discovery end
  local exit = code == "invalid" and (plan.stack and session.INVALID or session.USAGE)
  if exit then session.fail(exit, "%s", message) end
  M.fail(plan, message, code)
end

--- Reads the flags and opens: the discovery, and what it was opened by.
function M.open(ctx)
  local problems = {}
  local plan = M.read(ctx, problems)
  M.refuse(problems)
  return M.open_plan(plan), plan
end

return M
