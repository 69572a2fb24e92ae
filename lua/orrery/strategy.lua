--- strategy -- coordination strategies that are a file: strategies/<name>.lua, and this node's part
-- in one. profiles/examples/README.md shows how to write one.
--
-- Its functions may wait and reach the world through `ctx`. Each call is a task of its own with a
-- deadline, so that a strategy that hangs, computes for ever or raises holds up nothing but the
-- start it was asked about.
local core = require "orrery.core"
local luacheck = require "orrery.luacheck"
local plugin = require "orrery.plugin"
local sandbox = require "orrery.sandbox"
local schema = require "orrery.schema"
local suggest = require "orrery.suggest"

local M = {}

local FUNCTIONS = { "decides", "members", "may_start", "lost" }
local TIMEOUT = 10  -- seconds that a call may take
local RETRY = 1     -- seconds from a refusal to the next question
local INTERVAL = 10 -- seconds between two looks at the members
local MAX_WORDS = 1000

local builtin = {}
for _, name in ipairs(schema.strategies) do builtin[name] = true end

--- Whether a strategy is one of the four that are built in.
function M.is_builtin(name) return builtin[name] == true end

-- ---- what is wrong with one ----

local function complaint(definition)
  if type(definition) ~= "table" then
    return "a strategy is a table {options, decides, members, may_start, lost}"
  end
  local some = false
  for _, name in ipairs(FUNCTIONS) do
    local kind = type(definition[name])
    if kind ~= "function" and kind ~= "nil" then
      return ("%s: expected a function, got a %s"):format(name, kind)
    end
    some = some or kind == "function"
  end
  if not some then
    return "a strategy has at least one of " .. table.concat(FUNCTIONS, ", ")
  end
end

local function check_options(ctx, add, definition, given)
  local known = type(definition.options) == "table" and definition.options or {}
  for _, key in ipairs(suggest.names(given)) do
    if known[key] == nil then
      add(ctx, "coordination.options." .. key, "unknown key%s",
        suggest.hint(key, suggest.names(known)))
    end
  end
end

local function unknown(ctx, add, name, message)
  if name:find("/", 1, true) then return add(ctx, "coordination.strategy", "%s", message) end
  add(ctx, "coordination.strategy", '"%s" is not one of %s, nor a file of strategies/%s', name,
    table.concat(schema.strategies, ", "), suggest.hint(name, schema.strategies))
end

--- Adds what is wrong with `stack.coordination` beyond the schema, through add(ctx, path, format).
function M.verify(stack, ctx, add)
  local name, given = stack.coordination.strategy, stack.coordination.options or {}
  if M.is_builtin(name) then
    if next(given) then
      add(ctx, "coordination.options", "are for a strategy of strategies/; %s is built in", name)
    end
    return
  end
  local found, message = plugin.find("strategy", name, ctx.place.dir)
  if not found then return unknown(ctx, add, name, message) end
  local definition, file = plugin.read("strategy", name, ctx.place.dir)
  local wrong = definition ~= nil and complaint(definition)
  if definition == nil then
    ctx.problems[#ctx.problems + 1] = file
  elseif wrong then
    ctx.problems[#ctx.problems + 1] = { file = file, message = wrong }
  else
    check_options(ctx, add, definition, given)
  end
end

-- ---- opening ----

local function options_of(definition, given)
  local options = {}
  for key, default in pairs(definition.options or {}) do options[key] = default end
  for key, value in pairs(given or {}) do options[key] = value end
  return options
end

local VERBS = { "lookup", "services", "lock", "renew_lock", "unlock", "kv_get", "kv_put",
  "kv_delete" }

--- The verbs of the stack's backend that look and lock; registering is the agent's.
local function discovery_face(discovery)
  local face = {}
  for _, verb in ipairs(VERBS) do
    face[verb] = function(...) return discovery[verb](discovery, ...) end
  end
  return face
end

--- What each instance of this node is at the moment.
local function states_of(supervisor)
  return function()
    local list = {}
    for n, i in ipairs(supervisor.instances) do
      list[n] = { id = i.id, service = i.service.name, state = i.state, health = i.health,
        desired = i.desired }
    end
    return list
  end
end

local function run_program(options)
  if options[1] then options = { argv = options } end
  return core.process.run { argv = options.argv, env = options.env, cwd = options.cwd or "/",
    input = options.input, timeout = math.min(options.timeout or TIMEOUT, TIMEOUT) }
end

local function context_of(stack, supervisor, discovery, options)
  local ctx = luacheck.context(run_program)
  ctx.node, ctx.nodes, ctx.stack = stack.node, suggest.names(stack.nodes), stack.name
  ctx.options, ctx.discovery = options, discovery_face(discovery)
  ctx.services = states_of(supervisor)
  return ctx
end

--- The strategy of a loaded stack; nil if it is built in, for on one node those leave every start
-- to the agent. `supervisor` and `discovery`: those of the agent. nil, message if its file is gone.
function M.open(stack, supervisor, discovery)
  local coordination = stack.coordination
  if M.is_builtin(coordination.strategy) then return nil end
  local definition, file = plugin.read("strategy", coordination.strategy, stack.dir)
  if definition == nil then return nil, file.message end
  local options = options_of(definition, coordination.options)
  return { name = coordination.strategy, file = file, definition = definition,
    retry = tonumber(definition.retry) or RETRY, interval = tonumber(definition.interval)
      or INTERVAL, context = context_of(stack, supervisor, discovery, options) }
end

-- ---- asking ----

local function fault(strategy, err)
  local problem = sandbox.problem(strategy.file, err)
  return ("%s:%s %s"):format(problem.file, problem.line and problem.line .. ":" or "",
    problem.message)
end

local function cancel_on_exit(running)
  return setmetatable({}, { __close = function() running:cancel() end })
end

--- Calls one of its functions in a task of its own. Returns true, results | false, why. Waits.
local function call(strategy, name, ...)
  local results
  local running = core.task.spawn(function(...)
    results = table.pack(pcall(strategy.definition[name], strategy.context, ...))
  end, ...)
  local _ <close> = cancel_on_exit(running)
  local _, err, code = running:join(TIMEOUT)
  if not results and code == "failed" then return false, fault(strategy, err) end
  if not results then
    return false, ("%s() was still running after %g s, and was ended"):format(name, TIMEOUT)
  end
  if not results[1] then return false, fault(strategy, results[2]) end
  return true, table.unpack(results, 2, 3)
end

--- Who decides: true if this node does; else false and the reason.
local function decides(strategy)
  if not strategy.definition.decides then return true end
  local ok, who, why = call(strategy, "decides")
  if not ok then return false, who end
  if who == true or who == strategy.context.node then return true end
  if type(who) == "string" then return false, ("%s decides, not this node"):format(who) end
  return false, why and tostring(why) or "nobody decides yet"
end

--- Whether an instance may start now: true | false, why not. Waits.
function M.may_start(strategy, i)
  local ok, why = decides(strategy)
  if not ok then return false, why:sub(1, MAX_WORDS) end
  if not strategy.definition.may_start then return true end
  local called, may, reason = call(strategy, "may_start", { id = i.id, service = i.service.name,
    address = i.address, port = i.port, tags = i.service.tags })
  if not called then return false, may:sub(1, MAX_WORDS) end
  if may == true then return true end
  return false, reason and tostring(reason):sub(1, MAX_WORDS) or "it said neither yes nor why not"
end

-- ---- members ----

local function set_of(list)
  local set = {}
  for _, name in ipairs(type(list) == "table" and list or {}) do set[tostring(name)] = true end
  return set
end

--- Looks at the members until it is cancelled, and tells lost() of each that has gone. `tell(text,
-- failed)` hears of it, too. Waits.
function M.watch(strategy, tell)
  if not (strategy.definition.members and strategy.definition.lost) then return end
  local before
  while true do
    local ok, list, why = call(strategy, "members")
    if ok and type(list) == "table" then
      local now = set_of(list)
      for _, name in ipairs(suggest.names(before or {})) do
        if not now[name] then
          tell(("node %s is gone"):format(name), true)
          local done, problem = call(strategy, "lost", name)
          if not done then tell(problem, true) end
        end
      end
      before = now
    else
      tell(ok and "members() gives no list: " .. tostring(why or list) or list, true)
    end
    core.time.sleep(strategy.interval)
  end
end

return M
