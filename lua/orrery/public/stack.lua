--- orrery.stack: a stack as a script handles it. Documented in lua/meta/stack.lua.
--
-- Thin: load, plan and checks are those of the command line, everything else is asked of the agent.
local agents = require "orrery.public.agents"
local client_of = require "orrery.client"
local merge = require "orrery.merge"
local problem_of = require "orrery.problem"
local reached = require "orrery.public.reached"
local stack_of = require "orrery.stack"
local suggest = require "orrery.suggest"

local M = {}

local TIMEOUT, UP_TIMEOUT, WAIT_TIMEOUT = 300, 1800, 60

local Stack = {}
Stack.__index = Stack
Stack.__name = "orrery.stack"

--- All in one line; those of a file as a whole, or of a line of it, begin with it.
local function invalid(problems)
  local parts = {}
  for i, problem in ipairs(problems) do
    local of_file = problem.line or (problem.file and not problem.path)
    parts[i] = of_file and problem_of.list { problem } or problem_of.text(problem)
  end
  return nil, table.concat(parts, "; "), "invalid", problems
end

-- ---- arguments ----

local function given(options, what, known)
  if options == nil then return {} end
  if type(options) ~= "table" then
    error(("stack:%s: expected a table of options"):format(what), 3)
  end
  for key in pairs(options) do
    if not known[key] then
      error(("stack:%s: unknown option %q%s"):format(what, tostring(key),
        suggest.hint(tostring(key), suggest.names(known))), 3)
    end
  end
  return options
end

--- A name or a list of names, all of which the stack must have; nil means all.
local function names_given(s, services, what)
  if type(services) == "string" then services = { services } end
  if services ~= nil and type(services) ~= "table" then
    error(("stack:%s: expected the name of a service, or a list of them"):format(what), 3)
  end
  for _, name in ipairs(services or {}) do
    if not s.config.services[name] then
      local known = suggest.names(s.config.services)
      error(("stack:%s: there is no service %q in stack '%s'%s (it has: %s)"):format(what,
        tostring(name), s.name, suggest.hint(tostring(name), known), table.concat(known, ", ")), 3)
    end
  end
  return services
end

-- ---- without an agent ----

function M.load(target, options)
  options = options or {}
  local config, problems = stack_of.load(target, options)
  if not config then return invalid(problems) end
  config = merge.copy(config) -- a script may change a service's defaults, which are shared
  return setmetatable({ name = config.name, file = config.file, dir = config.dir, config = config,
    target = type(target) == "table" and target or config.file or config.profile,
    options = options }, Stack)
end

--- Whether a stack is right: its keys, its graph and its templates.
function M.validate(target, options)
  local s, message, code, problems = M.load(target, options)
  if not s then return nil, message, code, problems end
  return s:validate()
end

--- The stack as its file is now.
function Stack:again() return stack_of.load(self.target, self.options) end

function Stack:validate()
  local problems = require("orrery.view").problems(self.config)
  if #problems > 0 then return invalid(problems) end
  return true
end

function Stack:plan(options)
  options = given(options, "plan", { services = true })
  local only = names_given(self, options.services, "plan")
  local plan, problems = require("orrery.plan").build(self.config, { only = only })
  if not plan then return invalid(problems) end
  return plan
end

--- The graph of its services, to ask and to change.
function Stack:graph()
  return require("orrery.core").graph.new(require("orrery.edges").spec(self.config))
end

--- Its backend, with what stands behind it.
function Stack:discovery() return require("orrery.discovery").open(self.config) end

--- Runs every health check once: a list of {service, instance, check, role, ok, message, latency}.
function Stack:check(services)
  local names = names_given(self, services, "check") or suggest.names(self.config.services)
  local checks = require "orrery.checks"
  local list = checks.run_all(checks.collect(self.config, names))
  for i, check in ipairs(list) do
    list[i] = { service = check.service, instance = check.instance, check = check.name,
      role = check.role, ok = check.result.ok, message = check.result.message,
      latency = check.result.latency }
  end
  return list
end

--- The files of a service, rendered; secrets are ***.
function Stack:render(name)
  names_given(self, name, "render")
  local view = require "orrery.view"
  local seen = view.of(self.config)
  local list, problems = require("orrery.render").files(self.config, name,
    view.context(self.config, seen, seen.by_service[name][1], view.hidden_secrets()))
  if not list then return invalid(view.tidy(problems)) end
  local result = {}
  for i, file in ipairs(list) do result[i] = { path = file.path, text = file.text } end
  return result
end

-- ---- with an agent ----

local function settled(set)
  return function(state)
    return reached.every(state, set, function(instance) return instance.settled end)
  end
end

--- Posts a command and waits until the services it concerns are at rest.
local function command(s, verb, services, timeout)
  local client, message, code = client_of.connect(s.config)
  if not client then return nil, message, code end
  local answer
  answer, message, code = client:post(verb, services)
  if not answer then return nil, message, code end
  local set = reached.set(answer.services)
  local state
  state, message, code = client:wait(settled(set), timeout or TIMEOUT)
  if not state then return nil, ("%s: %s"):format(verb, message), code end
  local bad = reached.trouble(state, set, verb)
  if bad then return nil, ("%s: %s"):format(verb, bad), "failed", state end
  return state
end

local UP = { services = true, detach = true, timeout = true, wait = true }

--- Tells the agent that runs already, or becomes it, or starts one.
local function reach(s, options, services)
  local client, message, code = client_of.connect(s.config)
  if client then
    local answer
    answer, message, code = client:post("up", services)
    if not answer then return nil, message, code end
    return client
  end
  if code == "denied" then return nil, message, code end
  if options.detach then return agents.detach(s, services, options.timeout or UP_TIMEOUT) end
  return agents.start(s, services)
end

function Stack:up(options)
  options = given(options, "up", UP)
  local services = names_given(self, options.services, "up")
  local ok, message, code, problems = self:validate()
  if not ok then return nil, message, code, problems end
  local client
  client, message, code = reach(self, options, services)
  if not client then return nil, message, code end
  if options.wait == false then return client:state() end
  local state
  state, message, code = client:wait(settled(nil), options.timeout or UP_TIMEOUT)
  if not state then return nil, "up: " .. message, code end
  local bad = reached.trouble(state, nil, "up")
  if bad then return nil, "up: " .. bad, "failed", state end
  return state
end

function Stack:down(options)
  options = given(options, "down", { timeout = true })
  local client, state, code = client_of.connect(self.config)
  if not client then
    if code == "denied" then return nil, state, code end
    return true -- nothing runs
  end
  local answer, message
  answer, message, code = client:post("down")
  if not answer and code ~= "closed" then return nil, message, code end
  return agents.gone(self, client, state, options.timeout or TIMEOUT)
end

--- `local s <close>`: what this script started in its background goes with it.
Stack.__close = function(s)
  if s.agent then s:down() end
end

for _, verb in ipairs { "start", "stop", "restart" } do
  Stack[verb] = function(s, services, options)
    options = given(options, verb, { timeout = true })
    return command(s, verb, names_given(s, services, verb), options.timeout)
  end
end

--- One question to the agent.
local function ask(s, question, ...)
  local client, message, code = client_of.connect(s.config)
  if not client then return nil, message, code end
  return client[question](client, ...)
end

function Stack:status() return ask(self, "state") end

function Stack:reload() return ask(self, "post", "reload") end

function Stack:why(name)
  names_given(self, name, "why")
  return ask(self, "why", name)
end

function Stack:events(options)
  options = given(options, "events", { since = true, follow = true, timeout = true })
  local source, message, code = ask(self, "events",
    { since = options.since, follow = options.follow ~= false })
  if not source then return nil, message, code end
  local guard = setmetatable({}, { __close = function() source:close() end })
  return function() return source:next(options.timeout) end, nil, nil, guard
end

local WAIT = { state = true, timeout = true }

function Stack:wait(services, options)
  options = given(options, "wait", WAIT)
  local names = names_given(self, services, "wait") or suggest.names(self.config.services)
  local goal, timeout = options.state or "healthy", options.timeout or WAIT_TIMEOUT
  if not reached.goals[goal] then
    error(("stack:wait: state: %q is not one of %s"):format(tostring(goal),
      table.concat(suggest.names(reached.goals), ", ")), 2)
  end
  local client, message, code = client_of.connect(self.config)
  if not client then
    if goal == "stopped" and code ~= "denied" then return true end
    return nil, message, code
  end
  return reached.wait(client, reached.set(names), goal, timeout)
end

-- ---- one service ----

local Service = {}
Service.__index = Service
Service.__name = "orrery.service"

function Stack:service(name)
  if type(name) ~= "string" then error("stack:service: expected the name of a service", 2) end
  names_given(self, name, "service")
  return setmetatable({ stack = self, name = name, config = self.config.services[name] }, Service)
end

for _, verb in ipairs { "start", "stop", "restart", "wait" } do
  Service[verb] = function(service, options)
    return service.stack[verb](service.stack, { service.name }, options)
  end
end

for _, verb in ipairs { "why", "check", "render" } do
  Service[verb] = function(service) return service.stack[verb](service.stack, service.name) end
end

--- Its part of the state.
function Service:status()
  local state, message, code = self.stack:status()
  if not state then return nil, message, code end
  for _, service in ipairs(state.services) do
    if service.name == self.name then return service end
  end
  return nil, ("the agent does not know service '%s' yet; reload the stack"):format(self.name),
    "not_found"
end

return M
