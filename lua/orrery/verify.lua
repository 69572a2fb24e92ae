--- verify -- what only the whole stack can tell: names that refer to nothing, ports used twice,
-- cycles, variables that are missing. Pure; adds to ctx.problems.
local core = require "orrery.core"
local discovery_options = require "orrery.discovery.options"
local edges = require "orrery.edges"
local formats = require "orrery.formats"
local pattern = require "orrery.pattern"
local plugin = require "orrery.plugin"
local restart = require "orrery.supervisor.restart"
local schema = require "orrery.schema"
local secret = require "orrery.secret"
local strategy_of = require "orrery.strategy"
local suggest = require "orrery.suggest"
local validate = require "orrery.validate"

local M = {}

local SOCKET_PATH = 107 -- the longest name of a Unix socket

local NO_FILE = { default = true, type = true } -- origins that nobody wrote

local function path_of(...)
  local path = "services"
  for _, key in ipairs({ ... }) do path = validate.child(path, key) end
  return path
end

local function add(ctx, path, message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  local origin = ctx.origin[path]
  local file = not NO_FILE[origin] and origin or ctx.place.file
  ctx.problems[#ctx.problems + 1] = { path = path, message = message, file = file }
end

local function exists(names)
  if #names == 0 then return "there are no others" end
  return "there is: " .. table.concat(names, ", ")
end

-- ---- dependencies ----

local function others(stack, name)
  local names = {}
  for _, other in ipairs(suggest.names(stack.services)) do
    if other ~= name then names[#names + 1] = other end
  end
  return names
end

local function lost_dependency(ctx, stack, name, target, dependency)
  local path = path_of(name, "dependencies", target)
  if ctx.removed[target] then
    if dependency.type ~= "required" then return end
    return add(ctx, path,
      "is required, but services.%s is switched off (enable = false); enable it, or " ..
      "make the dependency optional", target)
  end
  if ctx.lacks_profile then return end -- it may have been one of the profile's
  local names = others(stack, name)
  add(ctx, path, 'there is no service "%s"%s (%s)', target, suggest.hint(target, names),
    exists(names))
end

--- Whether a dependency is on a discovered group; what is wrong with one, and with keys that only
-- such a one has.
local function check_group(ctx, path, dependency)
  if dependency.discover then
    if dependency.healthCheck then
      add(ctx, path .. ".healthCheck", "is for a service of this stack; who is in a discovered "
        .. "group is checked where it runs")
    end
    return true
  end
  for _, key in ipairs({ "min", "tag" }) do
    if dependency[key] ~= nil then
      add(ctx, path .. "." .. key, "is for a discovered group; set discover = true, too")
    end
  end
  return false
end

--- What remains are edges between services that there are: a cycle among them is one anyway.
local function check_dependencies(ctx, stack, name, service)
  for _, target in ipairs(suggest.names(service.dependencies)) do
    if target == name then
      add(ctx, path_of(name, "dependencies", target), "a service cannot depend on itself")
      service.dependencies[target] = nil
    elseif not check_group(ctx, path_of(name, "dependencies", target),
      service.dependencies[target]) and not stack.services[target] then
      lost_dependency(ctx, stack, name, target, service.dependencies[target])
      service.dependencies[target] = nil
    end
  end
end

local function cut_text(cycle)
  local paths = {}
  for i, edge in ipairs(cycle.cut) do
    paths[i] = ("services.%s.dependencies.%s"):format(edge.from, edge.to)
  end
  return table.concat(paths, ", ")
end

local function check_cycles(ctx, stack)
  local _, message, code, details = core.graph.solve(edges.spec(stack))
  if code ~= "cycle" then return end
  for _, cycle in ipairs(details.cycles) do
    local text = "Circular dependency detected: " .. table.concat(cycle.cycle, " -> ")
    add(ctx, "services", "%s; break it by giving %s the type circular, optional or soft",
      text, cut_text(cycle))
  end
  if #details.cycles == 0 then add(ctx, "services", message) end
end

-- ---- ports ----

local WILDCARD = { ["0.0.0.0"] = true, ["::"] = true }

local function overlap(a, b) return a == b or WILDCARD[a] or WILDCARD[b] end

local function claim(ctx, claims, entry)
  local taken = claims[entry.port] or {}
  claims[entry.port] = taken
  for _, other in ipairs(taken) do
    if overlap(other.bind, entry.bind) then
      return add(ctx, entry.path, "%d is already used by %s%s; give one of them another port",
        entry.port, other.path, other.copy > 1 and (" (its copy %d)"):format(other.copy) or "")
    end
  end
  taken[#taken + 1] = entry
end

local function claim_range(ctx, claims, service, port, path)
  for copy = 1, service.replicas do
    local number = port + copy - 1
    if number > 65535 then
      return add(ctx, path, "copy %d of %d would need port %d; the last is 65535", copy,
        service.replicas, number)
    end
    claim(ctx, claims, { port = number, bind = service.bind, path = path, copy = copy })
  end
end

local function check_ports(ctx, stack)
  local claims = {}
  for _, name in ipairs(suggest.names(stack.services)) do
    local service = stack.services[name]
    if not service.external then
      if math.type(service.port) then
        claim_range(ctx, claims, service, service.port, path_of(name, "port"))
      end
      for _, key in ipairs(suggest.names(service.ports)) do
        claim_range(ctx, claims, service, service.ports[key], path_of(name, "ports", key))
      end
    end
  end
end

-- ---- one service ----

local function check_run(ctx, name, service)
  if service.external then
    if not service.url and not (service.address and service.port) then
      add(ctx, path_of(name, "url"), "an external service needs its url, or an address and a port")
    end
  elseif not service.embedded and not service.exec then
    local types = {}
    for _, item in ipairs(plugin.list("type", ctx.place.dir)) do
      types[#types + 1] = item.name
    end
    add(ctx, path_of(name, "exec"),
      'is missing: a service of type "%s" needs the command to run; ' ..
      'or set its type (%s)%s', service.type, exists(types), suggest.hint(name, types))
  end
end

local NEEDS = { http = "endpoint", command = "command", file = "path", systemd = "unit" }

local BUILT_IN = {}
for _, name in ipairs(schema.check_strategies) do BUILT_IN[name] = true end

local function unknown_strategy(ctx, path, name)
  local names = { table.unpack(schema.check_strategies) }
  for _, item in ipairs(plugin.list("check", ctx.place.dir)) do names[#names + 1] = item.name end
  add(ctx, path .. ".strategy", '"%s" is not one of %s%s', name, table.concat(names, ", "),
    suggest.hint(name, names))
end

--- The options of a check of checks/: those given over its own defaults.
local function check_options(ctx, path, check, defaults)
  local options = {}
  for key, value in pairs(defaults) do options[key] = value end
  for _, key in ipairs(suggest.names(check.options or {})) do
    if defaults[key] == nil then
      add(ctx, validate.child(path .. ".options", key), "unknown option of %s%s", check.strategy,
        suggest.hint(key, suggest.names(defaults)))
    end
    options[key] = check.options[key]
  end
  check.options = options
end

--- A check that is a file of checks/: its function becomes the check's own.
local function from_file(ctx, path, check)
  local name = check.strategy
  if not plugin.find("check", name, ctx.place.dir) then return unknown_strategy(ctx, path, name) end
  local value, file = plugin.read("check", name, ctx.place.dir)
  if value == nil then
    ctx.problems[#ctx.problems + 1] = file
  elseif type(value) ~= "table" or type(value.run) ~= "function" then
    ctx.problems[#ctx.problems + 1] = { file = file,
      message = "a check returns {run = function(ctx, instance, options)}, and options if any" }
  else
    check.run, check.source = value.run, file
    check_options(ctx, path, check, type(value.options) == "table" and value.options or {})
  end
end

local function check_lua(ctx, path, check)
  if check.run and check.strategy then
    add(ctx, path .. ".run", "is a check by itself; leave out strategy")
  elseif check.run then
    check.strategy = "lua"
  elseif check.strategy and not BUILT_IN[check.strategy] then
    from_file(ctx, path, check)
  elseif check.options then
    add(ctx, path .. ".options", "is for checks in Lua; this one is %s", check.strategy)
  end
end

local function check_check(ctx, path, check, service)
  check_lua(ctx, path, check)
  if not check.strategy then
    return add(ctx, path .. ".strategy", "is missing; one of %s, a file of checks/, or run",
      table.concat(schema.check_strategies, ", "))
  end
  for _, key in ipairs(suggest.names(check)) do
    local belongs, owner = false, nil
    for strategy, keys in pairs(schema.check_keys) do
      if keys[key] then
        owner, belongs = owner or strategy, belongs or strategy == check.strategy
      end
    end
    if owner and not belongs then
      add(ctx, validate.child(path, key), "is for %s checks; this one is %s", owner, check.strategy)
    end
  end
  local need = NEEDS[check.strategy]
  if need and check[need] == nil and not (need == "endpoint" and check.url) then
    add(ctx, validate.child(path, need), "is missing: a check by %s needs it", check.strategy)
  end
  local by_port = check.strategy == "tcp" or (check.strategy == "http" and not check.url)
  if by_port and not check.port and not service.port and not service.url then
    add(ctx, validate.child(path, "port"), "is missing, and the service has none to look at")
  end
end

local function check_checks(ctx, stack, name, service)
  for _, key in ipairs(suggest.names(service.healthChecks)) do
    check_check(ctx, path_of(name, "healthChecks", key), service.healthChecks[key], service)
  end
  for _, target in ipairs(suggest.names(service.dependencies)) do
    local check = service.dependencies[target].healthCheck
    if check and not service.dependencies[target].discover then
      local path = path_of(name, "dependencies", target, "healthCheck")
      check_check(ctx, path, check, stack.services[target] or {})
    end
  end
end

local function check_plugin(ctx, kind, name, path)
  if not name then return end
  local found, message = plugin.find(kind, name, ctx.place.dir)
  if not found then add(ctx, path, "%s", message) end
end

-- "env:docker" is the format env in its style docker.
local function check_format(ctx, format, path)
  if not format or format == "text" then return end
  local base = format:match("^([^:]*):")
  check_plugin(ctx, "format", base or format, path)
  if not base then return end
  local found, message = formats.get(format, ctx.place.dir)
  if not found then add(ctx, path, "%s", message) end
end

local function check_config(ctx, name, service)
  for _, file in ipairs(suggest.names(service.config)) do
    local entry, given = service.config[file], 0
    for _, key in ipairs({ "template", "source", "data" }) do
      if entry[key] ~= nil then given = given + 1 end
    end
    if given ~= 1 then
      add(ctx, path_of(name, "config", file), "give exactly one of template, source, data")
    end
    check_plugin(ctx, "template", entry.source, path_of(name, "config", file, "source"))
    check_format(ctx, entry.format, path_of(name, "config", file, "format"))
  end
end

local function check_replicas(ctx, stack, name, service)
  for copy = 2, service.replicas do
    local id = ("%s-%d"):format(name, copy)
    if stack.services[id] then
      add(ctx, path_of(name, "replicas"), "its copy %d would be called %s, as a service is", copy,
        id)
    end
  end
end

-- ---- variables ----

local LUA_TYPES = { string = "string", number = "number", boolean = "boolean", array = "table",
  object = "table", service = "string" }

local TRUTH = { ["true"] = true, ["false"] = false }
local CONVERT = { number = tonumber, boolean = function(text) return TRUTH[text] end,
  array = core.json.decode, object = core.json.decode }

local function has_type(declared, value)
  if secret.is(value) then return declared.type == "string" end
  if type(value) == "string" and value:find("${", 1, true) then return true end
  if type(value) ~= LUA_TYPES[declared.type] then return false end
  if declared.type == "array" then return validate.is_list(value) end
  return declared.type ~= "object" or #value == 0
end

local ARTICLE = { array = "an array", object = "an object" }

local function check_value(ctx, stack, path, declared, value)
  if not has_type(declared, value) then
    return add(ctx, path, "expected %s, got a %s", ARTICLE[declared.type] or "a " .. declared.type,
      type(value) == "table" and (validate.is_list(value) and "list" or "table of names")
        or type(value))
  end
  if declared.type == "service" and not stack.services[value] and not ctx.removed[value] then
    local names = suggest.names(stack.services)
    add(ctx, path, 'there is no service "%s"%s (%s)', value, suggest.hint(value, names),
      exists(names))
  end
end

--- All declarations that a setting may be for: the service's own and those of its files.
local function declarations(service)
  local all = {}
  for _, file in pairs(service.config) do
    for variable, declared in pairs(file.variables or {}) do all[variable] = declared end
  end
  for variable, declared in pairs(service.variables) do all[variable] = declared end
  return all
end

local function converted(ctx, path, declared, value)
  if not ctx.texts[path] or not CONVERT[declared.type] then return value end
  local result = CONVERT[declared.type](value)
  if result == nil then return value end
  return result
end

local function check_settings(ctx, stack, name, service, declared)
  for _, key in ipairs(suggest.names(service.settings)) do
    local path = path_of(name, "settings", key)
    if not declared[key] then
      add(ctx, path, "no variable of this name is declared%s",
        suggest.hint(key, suggest.names(declared)))
    else
      local value = converted(ctx, path, declared[key], service.settings[key])
      service.settings[key] = value
      check_value(ctx, stack, path, declared[key], value)
    end
  end
end

-- The properties of a variable are variables, too.
local function check_patterns(ctx, path, declared)
  for _, key in ipairs(suggest.names(declared)) do
    local variable, here = declared[key], path .. "." .. key
    local _, message = pattern.compile(variable.pattern or "")
    if message then add(ctx, here .. ".pattern", "cannot be used: %s", message) end
    check_patterns(ctx, here .. ".properties", variable.properties or {})
  end
end

local function check_required(ctx, stack, name, service, declared)
  for _, key in ipairs(suggest.names(declared)) do
    local variable = declared[key]
    local given = service.settings[key] ~= nil or variable.default ~= nil or variable.generate
    if variable.type == "service" then given = given or stack.services[key] ~= nil end
    if variable.required and not given then
      local remedy = variable.type == "service"
        and ("; add services.%s, or name the service to use here"):format(key) or ""
      add(ctx, path_of(name, "settings", key), "Required variable '%s' is missing%s", key, remedy)
    end
  end
end

local function check_generate(ctx, name, service)
  for _, key in ipairs(suggest.names(service.variables)) do
    local kind = service.variables[key].generate
    local complaint = kind and secret.complaint({ generate = kind, name = "x" })
    if complaint then
      add(ctx, path_of(name, "variables", key, "generate"), (complaint:gsub("^generate: ", "")))
    end
    if kind and not service.variables[key].secret then
      add(ctx, path_of(name, "variables", key, "secret"),
        "a generated value is a secret: set secret = true")
    end
  end
end

-- ---- secrets in command lines ----

local function argv_lists(service)
  local lists = { exec = service.exec, ["stop.command"] = service.stop.command }
  for name, hook in pairs(service.hooks) do
    if type(hook) == "table" then lists["hooks." .. name] = hook.command or hook end
  end
  for name, check in pairs(service.healthChecks) do
    lists["healthChecks." .. name .. ".command"] = check.command
  end
  return lists
end

local function secret_named(service, text)
  for name in text:gmatch("%${%s*([%a_][%w_]*)%s*[|}]") do
    local declared = service.variables[name]
    if (declared and declared.secret) or secret.is(service.settings[name]) then return name end
  end
  return nil
end

--- A hook in its long form does one thing.
local function check_hooks(ctx, name, service)
  for _, key in ipairs(suggest.names(service.hooks)) do
    local hook = service.hooks[key]
    local long = type(hook) == "table" and not hook[1]
    if long and (hook.command == nil) == (hook.run == nil) then
      add(ctx, path_of(name, "hooks", key), "needs one of command and run")
    end
  end
end

local function check_argv(ctx, name, service)
  local lists = argv_lists(service)
  for _, key in ipairs(suggest.names(lists)) do
    local words = type(lists[key]) == "string" and { lists[key] } or lists[key]
    for i, word in ipairs(words) do
      local variable = secret_named(service, word)
      if variable then
        add(ctx, ("%s.%s[%d]"):format(path_of(name), key, i),
          "${%s} is a secret, and everyone can " ..
          "read a command line; pass it in env or in a file of config", variable)
      end
    end
  end
end

-- ---- the stack ----

local PACKAGES = "packages" -- the folder beside those of the stacks

local function check_names(ctx, stack)
  if stack.name == PACKAGES then
    add(ctx, "name", '"%s" is the folder of what is installed for all stacks; choose another name',
      PACKAGES)
  end
  local rule = schema.SERVICE_NAME
  if #stack.node > rule.max or not stack.node:find(rule.pattern) then
    add(ctx, "nodes", 'this machine is called "%s" (--node, $ORRERY_NODE or the host name): %s',
      stack.node, rule.says)
  end
end

local function check_stack(ctx, stack)
  check_names(ctx, stack)
  local nodes = suggest.names(stack.nodes)
  if #nodes > 1 then
    add(ctx, "nodes", "several nodes (%s) are not supported yet by this version; describe one node",
      table.concat(nodes, ", "))
  elseif not stack.nodes[stack.node] then
    add(ctx, "nodes",
      'this machine is "%s", and nodes has only %s; say which it is with --node or $ORRERY_NODE',
      stack.node, table.concat(nodes, ", "))
  end
  local socket = stack.dirs.run .. "/api.sock"
  if #socket > SOCKET_PATH then
    add(ctx, "stateDir",
      "%s is longer than the %d bytes that a socket's name may have; choose a shorter stateDir",
      socket, SOCKET_PATH)
  end
end

--- The ranges in its lists of exit codes.
local function check_restart(ctx, name, service)
  for _, key in ipairs({ "successExit", "preventExit", "forceExit" }) do
    local list = service.restart[key]
    for _, item in ipairs(type(list) == "table" and list or { list }) do
      local first, last = restart.range(item)
      if first and (first > last or last > 255) then
        add(ctx, path_of(name, "restart", key), "%s is no range within 0-255, the lower code first",
          item)
      end
    end
  end
end

local function check_service(ctx, stack, name, service)
  local declared = declarations(service)
  if not ctx.broken[name] then
    check_run(ctx, name, service)
    check_checks(ctx, stack, name, service)
    check_config(ctx, name, service)
    check_settings(ctx, stack, name, service, declared)
    check_required(ctx, stack, name, service, declared)
    check_patterns(ctx, path_of(name, "variables"), service.variables)
    check_generate(ctx, name, service)
    check_argv(ctx, name, service)
    check_hooks(ctx, name, service)
    check_restart(ctx, name, service)
  end
  check_replicas(ctx, stack, name, service)
  check_dependencies(ctx, stack, name, service)
end

--- Checks a merged stack. ctx: problems, place, removed (services switched off), broken (services
-- whose layers have problems already), texts.
function M.stack(ctx, stack)
  ctx.origin = stack.origin
  check_stack(ctx, stack)
  for _, name in ipairs(suggest.names(stack.services)) do
    check_service(ctx, stack, name, stack.services[name])
  end
  if next(stack.services) == nil and #ctx.problems == 0 then
    add(ctx, "services", "there are none; name a profile (simple-pds), or describe services")
  end
  check_ports(ctx, stack)
  check_cycles(ctx, stack)
  discovery_options.verify(stack, ctx, add)
  strategy_of.verify(stack, ctx, add)
end

return M
