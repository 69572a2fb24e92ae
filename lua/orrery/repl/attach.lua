--- attach -- the names of a session that looks at a running agent, over /v1/* of its socket.
--
-- Nothing is kept: each reading of `state` and the like asks the agent anew, so an agent that was
-- restarted is found again, and one that is gone is told at the line that asks.
local client_of = require "orrery.client"
local suggest = require "orrery.suggest"

local M = {}

local SETTLE = 300 -- seconds that a command of --write is waited for

M.ABOUT = "state services instances graph discovery why(NAME) lookup(NAME) changes() "
  .. "events([SINCE])"
M.ABOUT_WRITE = M.ABOUT .. "\n  start(NAME...) stop(NAME...) restart(NAME...) reload()"

local function fail(message, ...) error({ message = message:format(...) }, 0) end

--- The answer of the agent, or an error of one sentence.
local function ask(self, verb, ...)
  local answer, message, code = self.client[verb](self.client, ...)
  if answer ~= nil then return answer end
  local answered = not message:find("^the agent at ") -- else the message is of the connection
  if answered and code then fail("%s", message) end
  fail("the agent of stack '%s' does not answer (%s); it is asked again at the next line, start it "
    .. "with: %s", self.stack, message, self.start_words)
end

local function state(self)
  local now = ask(self, "state")
  if self.epoch and now.epoch ~= self.epoch then
    self.tell("(the agent was restarted: its process is " .. now.agent.pid .. " now)\n")
  end
  self.epoch = now.epoch
  return now
end

local function by_name(self)
  local found = {}
  for _, service in ipairs(state(self).services) do found[service.name] = service end
  return found
end

local function instances(self)
  local found = {}
  for _, service in ipairs(state(self).services) do
    for _, instance in ipairs(service.instances) do found[instance.id] = instance end
  end
  return found
end

--- {nodes, edges = {{from, to}}, waves}, of what runs.
local function graph(self)
  local nodes, edges, waves = {}, {}, {}
  for i, service in ipairs(state(self).services) do
    nodes[i] = service.name
    for _, target in ipairs(service.dependencies) do
      edges[#edges + 1] = { from = service.name, to = target }
    end
    local wave = service.wave or 0
    waves[wave] = waves[wave] or {}
    table.insert(waves[wave], service.name)
  end
  return { nodes = nodes, edges = edges, waves = waves }
end

local function service_name(self, name)
  local known = by_name(self)
  if type(name) ~= "string" or not known[name] then
    fail("there is no service %q%s", tostring(name), suggest.hint(name, suggest.names(known)))
  end
  return name
end

local function events(self, since)
  local source, message = self.client:events({ since = since or 0 })
  if not source then fail("%s", message) end
  local list = {}
  local event = source:next(30)
  while event do
    list[#list + 1] = event
    event = source:next(30)
  end
  source:close()
  return list
end

local function command(self, verb)
  return function(...)
    local names = { ... }
    for _, name in ipairs(names) do service_name(self, name) end
    ask(self, "post", verb, names)
    local now, message = self.client:wait(function(seen) return seen.settled end, SETTLE)
    if not now then fail("%s was taken, and: %s", verb, message) end
    return now.good
  end
end

local function writers(self)
  local list = { reload = function() return ask(self, "post", "reload").changes end }
  for _, verb in ipairs { "start", "stop", "restart" } do list[verb] = command(self, verb) end
  return list
end

local function refusal(name)
  return function()
    fail("%s() changes what runs, and this session only looks; begin it with --write", name)
  end
end

--- Connects to the agent of `stack` (name, dirs). options: write, tell(text), start_words (what
-- starts it). Returns {live = names read anew, preset = functions, services() = their names}; or
-- nil, message, code. Waits.
function M.open(stack, options)
  local client, message, code = client_of.connect(stack)
  if not client then return nil, message, code end
  local self = { client = client, stack = stack.name, tell = options.tell,
    start_words = options.start_words }
  local function reads(fn) return function() return fn(self) end end
  local preset = {
    why = function(name) return ask(self, "why", service_name(self, name)) end,
    lookup = function(name) return ask(self, "lookup", name) end,
    changes = function() return ask(self, "changes") end,
    events = function(since) return events(self, since) end,
  }
  for name, fn in pairs(writers(self)) do
    preset[name] = options.write and fn or refusal(name)
  end
  return {
    preset = preset,
    live = { state = reads(state), services = reads(by_name), instances = reads(instances),
      graph = reads(graph), discovery = function() return ask(self, "discovery") end },
    services = function() return suggest.names(by_name(self)) end,
  }
end

return M
