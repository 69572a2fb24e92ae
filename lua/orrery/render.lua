--- render -- a service's strings and files, rendered: from the stack's templates to plain values.
---
--- Every problem is found before anything is returned: {path, message, pending}. A problem is
--- pending when a value is declared but not known yet, so that trying again later may help.
local files = require "orrery.render.files"
local output = require "orrery.render.output"
local scope = require "orrery.scope"
local secret = require "orrery.secret"
local template = require "orrery.template"
local values = require "orrery.template.values"

local M = {}

-- What a check needs as a number, though a template gives text.
local NUMBERS = {port = true, interval = true, timeout = true, startPeriod = true, maxAge = true,
                 minSize = true, minFree = true, maxBytes = true, expectedExit = true}

local SECRET_IN_ARGV = "a secret would be in a command line, where every user of the machine " ..
  "can read it; pass it in env or in a file"

local SECRET_IN_RECORD = "a secret would be in the records of discovery, which others read"

-- Notes a problem, and the further ones of the same template.
local function add(r, path, problem)
  r.problems[#r.problems + 1] = {path = path, message = problem.message, file = problem.file,
    line = problem.line, column = problem.column, pending = problem.pending or false}
  for _, other in ipairs(problem.others or {}) do add(r, path, other) end
end

local function new(stack, name, context)
  local service = stack.services[name]
  if not service then
    return nil, {{path = "services." .. name, message = "there is no service of this name",
                  pending = false}}
  end
  local own = {}
  for key, value in pairs(context or {}) do own[key] = value end
  own.stack, own.service = stack, name
  return {stack = stack, name = name, service = service, context = own, scope = scope.new(own),
          problems = {}}
end

-- One string of the stack as text. What was made of a secret is noted in r.secrets.
local function render_text(r, text, path)
  if secret.is(text) then
    r.secrets = true
    local revealed, message = r.scope:reveal(text)
    if not revealed then add(r, path, {message = tostring(message)}) end
    return revealed
  end
  if type(text) ~= "string" then return text end
  local result, is_secret = template.render(text, r.scope, {name = path, dir = r.stack.dir})
  if not result then return add(r, path, is_secret) end
  r.secrets = r.secrets or is_secret
  return result
end

-- A value with every string in it rendered; functions and the like stay as they are.
local function render_value(r, value, path)
  if type(value) ~= "table" or secret.is(value) then return render_text(r, value, path) end
  local copy = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do
    local place = math.type(key) and ("%s[%d]"):format(path, key) or path .. "." .. tostring(key)
    copy[key] = render_value(r, item, place)
  end
  return copy
end

-- What others see: nothing in it may come from a secret, or `message` is the problem.
local function render_open(r, value, path, message)
  if value == nil then return nil end
  local outer = r.secrets
  r.secrets = false
  local result = render_value(r, value, path)
  if r.secrets then add(r, path, {message = message}) end
  r.secrets = outer
  return result
end

local function render_command(r, command, path)
  return render_open(r, command, path, SECRET_IN_ARGV)
end

local function render_env(r)
  local env = {}
  for name, value in pairs(r.service.env or {}) do
    local path = ("services.%s.env.%s"):format(r.name, name)
    local text, why = values.text(render_text(r, value, path) or "")
    if not text then add(r, path, {message = "a variable is a string, not a " .. why}) end
    env[name] = text
  end
  return env
end

local function field(r, name)
  local value = r.scope:get(name)
  return value ~= values.null and value or nil
end

-- Where a check of ours looks, unless it says so itself.
local function add_target(r, check)
  local network = check.strategy == "http" or check.strategy == "tcp"
  if not network or check.url then return end
  local scheme = field(r, "scheme")
  if check.strategy == "http" and r.service.external and not check.port then
    local url = field(r, "url")
    url = secret.is(url) and r.scope:reveal(url) or url
    if url then check.url, check.endpoint = url:gsub("/+$", "") .. (check.endpoint or ""), nil end
    return
  end
  check.host = check.host or field(r, "address")
  check.port = check.port or field(r, "port")
  if check.strategy == "http" then
    check.scheme = check.scheme or (scheme == "https" and "https" or "http")
  end
end

local function render_check(r, check, path)
  local command = render_command(r, check.command, path .. ".command")
  local copy = {}
  for key, value in pairs(check) do
    if key ~= "command" then copy[key] = render_value(r, value, path .. "." .. tostring(key)) end
    if NUMBERS[key] and type(copy[key]) == "string" then
      local number = tonumber(copy[key])
      copy[key] = number or add(r, path .. "." .. key, {message = "must be a number"})
    end
  end
  copy.command = command
  add_target(r, copy)
  if check.strategy == "command" or check.strategy == "file" then
    copy.user = copy.user or files.user_of(r) -- root may write where the service may not
  end
  return copy
end

local function render_checks(r)
  local checks = {}
  for name, check in pairs(r.service.healthChecks or {}) do
    checks[name] = render_check(r, check, ("services.%s.healthChecks.%s"):format(r.name, name))
  end
  return checks
end

local function render_commands(r, map, path)
  local result = {}
  for key, value in pairs(map or {}) do
    result[key] = render_command(r, value, path .. "." .. key)
  end
  return result
end

local function own_fields(r, result)
  for _, name in ipairs {"url", "publicUrl", "hostname", "did", "address", "port"} do
    local value, problem = r.scope:get(name)
    if secret.is(value) then
      value = r.scope:reveal(value)
      result.hides = true
    end
    if value ~= nil and value ~= values.null then result[name] = value end
    if value == nil and r.service[name] ~= nil then
      add(r, ("services.%s.%s"):format(r.name, name), problem)
    end
  end
end

local function by_path(a, b)
  if a.path ~= b.path then return a.path < b.path end
  return a.message < b.message
end

-- The problems, each once, sorted by path.
local function sorted(problems)
  table.sort(problems, by_path)
  local kept = {}
  for i, problem in ipairs(problems) do
    local before = problems[i - 1]
    if not before or before.path ~= problem.path or before.message ~= problem.message then
      kept[#kept + 1] = problem
    end
  end
  return kept
end

local function check_variables(r)
  for _, problem in ipairs(r.scope:check()) do add(r, problem.path, problem) end
end

local function rendered_strings(r)
  local path, service = "services." .. r.name, r.service
  local result = {env = render_env(r), healthChecks = render_checks(r)}
  own_fields(r, result)
  result.exec = render_command(r, service.exec, path .. ".exec")
  result.hooks = render_commands(r, service.hooks, path .. ".hooks")
  result.stop = render_commands(r, service.stop, path .. ".stop")
  for _, name in ipairs {"cwd", "envFile", "user", "group"} do
    result[name] = render_value(r, service[name], path .. "." .. name)
  end
  for _, name in ipairs {"tags", "meta"} do
    result[name] = render_open(r, service[name], path .. "." .. name, SECRET_IN_RECORD)
  end
  if result.envFile and result.envFile:sub(1, 1) ~= "/" then
    result.envFile = ("%s/%s"):format((r.context.dirs or service.dirs).config, result.envFile)
  end
  return result
end

--- Everything that starting an instance of the service takes: {exec, env, envFile (absolute), cwd,
--- user, group, url, publicUrl, hostname, did, address, port, tags, meta, healthChecks, hooks,
--- stop, hides (a secret is in one of url ... port)} | nil, problems. `context` is that of
--- scope.new() without stack and service. May wait for
--- secrets. What was made of secrets is in env, url and healthChecks as it is: do not show it.
function M.service(stack, name, context)
  local r, unknown = new(stack, name, context)
  if not r then return nil, unknown end
  check_variables(r)
  local result = rendered_strings(r)
  if #r.problems > 0 then return nil, sorted(r.problems) end
  return result
end

local function note_uses(into, uses)
  for name in pairs(uses or {}) do into[name] = true end
end

--- The files of a service, rendered and checked against their formats: a list as files.render()
--- makes them, sorted by path | nil, problems, and the set of services that they ask for. `only`
--- (a set of paths) leaves out the others. May wait for secrets.
function M.files(stack, name, context, only)
  local r, unknown = new(stack, name, context)
  if not r then return nil, unknown end
  if not next(r.service.config or {}) then return {} end
  check_variables(r)
  local list, uses = {}, {}
  for key, config in pairs(r.service.config or {}) do
    if not only or only[files.path_of(r, key)] then
      local path = ("services.%s.config[%q]"):format(name, key)
      local file, problems, asked = files.render(r, key, config, path)
      for _, problem in ipairs(problems or {}) do add(r, problem.path or path, problem) end
      note_uses(uses, file and file.uses or asked)
      list[#list + 1] = file
    end
  end
  if #r.problems > 0 then return nil, sorted(r.problems), uses end
  table.sort(list, function(a, b) return a.path < b.path end)
  return list
end

--- Writes files as files() gave them: those that differ, each atomically, after its check command.
--- Returns {changed = {paths}, before = {path = the text before}} | nil, problems; the files before
--- the first problem are written. Waits.
function M.write(list)
  local changed, before = {}, {}
  for _, file in ipairs(list) do
    local wrote, text = output.write(file)
    if wrote == nil then return nil, {{path = file.path, message = text, pending = false}} end
    if wrote then changed[#changed + 1] = file.path end
    before[file.path] = text
  end
  return {changed = changed, before = before}
end

--- Whether a list of problems is only waiting for values.
function M.is_pending(problems)
  for _, problem in ipairs(problems) do if not problem.pending then return false end end
  return #problems > 0
end

return M
