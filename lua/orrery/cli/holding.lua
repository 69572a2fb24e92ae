--- holding -- a record that is kept registered while something runs: a command, or this process.
local core = require "orrery.core"
local backend = require "orrery.cli.backend"
local events = require "orrery.events"
local registrar_of = require "orrery.registrar"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local process, task = core.process, core.task

local M = {}

local FAREWELL = 5     -- seconds to deregister in
local SIGNALS = { "INT", "TERM", "HUP", "QUIT", "USR1", "USR2" }
local NUMBERS = { HUP = 1, INT = 2, QUIT = 3, ILL = 4, TRAP = 5, ABRT = 6, BUS = 7, FPE = 8,
  KILL = 9, USR1 = 10, SEGV = 11, USR2 = 12, PIPE = 13, ALRM = 14, TERM = 15 }
local CANNOT_RUN = 127 -- as a shell has it

--- The names of the backends of a set that is by their numbers: "consul, file".
function M.names(discovery, where)
  local names = {}
  for i, part in ipairs(discovery.parts) do
    if where[i] then names[#names + 1] = part.name end
  end
  return table.concat(names, ", ")
end

--- Says when the backend fails and when it works again.
local function tell(log)
  local queue = events.follow(log)
  return task.spawn(function()
    for event in function() return queue:pop() end do
      if event.failed or not event.instance then ui.note("%s", event.reason) end
    end
  end)
end

--- Renews the record until `body(names)` returns, then takes it away. Returns what body() returned.
-- It is enough that one backend of the chain has it, whose names body() is given: the others get it
-- as soon as they can.
local function while_registered(discovery, plan, record, ttl, body)
  local ok, message, code, where = discovery:register(record, ttl)
  local names = M.names(discovery, where)
  if not ok and names == "" then backend.fail(plan, message, code) end
  local log = events.new()
  local registrar = registrar_of.new({ discovery = discovery, node = record.node, ttl = ttl,
    log = log })
  registrar_of.adopt(registrar, record, where, code)
  if not ok then ui.note("%s; it is tried again", message) end
  local telling, running = tell(log), task.spawn(registrar_of.run, registrar)
  local result = table.pack(pcall(body, names))
  registrar_of.close(registrar)
  if running:join(FAREWELL) == nil then running:cancel() end
  telling:cancel()
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

--- Registers until a signal comes.
function M.hold(discovery, plan, record, ttl)
  local signals <close> = process.signals { "INT", "TERM", "HUP", "QUIT" }
  while_registered(discovery, plan, record, ttl, function(names)
    ui.note("registered %s with discovery backend %s until this ends (Ctrl-C)", record.id, names)
    signals:next()
  end)
  return session.OK
end

local function forward(running, signals)
  return task.spawn(function()
    for name in function() return signals:next() end do running:signal(name) end
  end)
end

--- Our environment, and where the record says the service is.
local function environment(record, prefix)
  local env = process.environ()
  for name, value in pairs(core.discovery.environment({ record }, prefix) or {}) do
    env[name] = value
  end
  return env
end

local function run(argv, env, signals)
  local running, message = process.spawn { argv = argv, env = env, inherit = true }
  if not running then return CANNOT_RUN, message end
  local forwarding = forward(running, signals)
  local status = running:wait()
  forwarding:cancel()
  return status.code or 128 + (NUMBERS[status.signal] or 0)
end

--- Registers while a command runs. Returns its exit code.
function M.run(discovery, plan, record, ttl, argv)
  local signals <close> = process.signals(SIGNALS)
  local env = environment(record, plan.discovery.envPrefix)
  local code, message = while_registered(discovery, plan, record, ttl,
    function() return run(argv, env, signals) end)
  if message then session.fail(code, "%s", message) end
  return code
end

return M
