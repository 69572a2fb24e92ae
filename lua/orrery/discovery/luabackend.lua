--- luabackend -- discovery backends written in Lua: backends/<name>.lua, or a path.
--
-- A file returns {options, capabilities, open(ctx, options)}; open() gives a table with the verbs.
-- Each verb runs in a task of its own, with a deadline; what it returns is checked as what comes
-- over a network is. A fault is an error with file and line, and stops nobody else.
local core = require "orrery.core"
local luacheck = require "orrery.luacheck"
local plugin = require "orrery.plugin"
local sandbox = require "orrery.sandbox"
local suggest = require "orrery.suggest"

local json, task = core.json, core.task

local M = {}

local TIMEOUT = 30 -- seconds for a verb; a lookup that waits gets its own time on top
local MAX_MESSAGE, MAX_RECORDS, MAX_NAMES, MAX_CURSOR = 1000, 10000, 100000, 4096
local CODES = { timeout = true, refused = true, not_found = true, bad_reply = true, io = true,
  denied = true, exists = true, closed = true, invalid = true }

local class = {}
class.__index = class

-- ---- what a backend may use ----

local function run(options)
  if options[1] then options = { argv = options } end
  return core.process.run({ argv = options.argv, env = options.env, input = options.input,
    cwd = options.cwd or "/", timeout = options.timeout or TIMEOUT })
end

local function context_of()
  local ctx, file = luacheck.context(run), core.file
  ctx.file = { read = file.read, write = file.write, list = file.list, mkdir = file.mkdir,
    remove = file.remove, stat = file.stat }
  return ctx
end

-- ---- faults ----

--- An error that its code raised, as "file:line: message".
local function fault(self, err)
  local problem = sandbox.problem(self.path, err)
  local place = problem.line and (":%d"):format(problem.line) or ""
  return ("%s%s: %s"):format(problem.file, place, problem.message):sub(1, MAX_MESSAGE)
end

--- What it returned is not what the verb gives.
local function refuse(self, verb, expected)
  return nil, ("%s: %s gave no %s"):format(self.path, verb, expected), "bad_reply"
end

local function its_failure(self, verb, message, code)
  if message == nil then
    return nil, ("%s: %s failed without a message"):format(self.path, verb), "bad_reply"
  end
  return nil, tostring(message):sub(1, MAX_MESSAGE), CODES[code] and code or "io"
end

-- ---- calling it ----

--- Runs a function in a task of its own for at most `seconds`: what it returned | nil, message,
-- code.
local function bounded(self, what, seconds, fn, ...)
  local done, results = false, nil
  local running = task.spawn(function(...)
    results = table.pack(pcall(fn, ...))
    done = true
  end, ...)
  self.running[running] = true
  local _ <close> = setmetatable({}, { __close = function()
    running:cancel()
    self.running[running] = nil
  end })
  local _, message, code = running:join(seconds)
  if done and results[1] then return table.unpack(results, 2, results.n) end
  if self.closed then return nil, "closed", "closed" end
  if done then return nil, fault(self, results[2]), "failed" end
  if code ~= "timeout" then return nil, fault(self, message), "failed" end -- it computed too long
  return nil, ("%s: %s did not end within %g s"):format(self.path, what, seconds), "timeout"
end

--- Calls its open(), and keeps the table or the problem.
local function open_store(self)
  local store, message, code = bounded(self, "open", TIMEOUT, self.plugin.open, context_of(),
    self.options)
  if type(store) == "table" then
    self.store = store
  elseif store == nil then
    self.problem = table.pack(its_failure(self, "open", message, code))
  else
    self.problem = table.pack(refuse(self, "open", "table with the verbs"))
  end
  self.opening = nil
end

--- The table that open() gives; opened at the first use, once for all who ask, and again until it
--- succeeds.
local function store_of(self)
  if self.store then return self.store end
  local opening = self.opening or task.spawn(open_store, self)
  self.opening, self.running[opening] = opening, true
  opening:join()
  self.running[opening] = nil
  if self.closed then return nil, "closed", "closed" end
  if self.store then return self.store end
  return table.unpack(self.problem, 1, 3)
end

local function call(self, verb, seconds, ...)
  if self.closed then return nil, "closed", "closed" end
  local store, message, code = store_of(self)
  if not store then return nil, message, code end
  if type(store[verb]) ~= "function" then
    return nil, ("%s: what open() gives has no function %s"):format(self.path, verb), "invalid"
  end
  local results = table.pack(bounded(self, verb, seconds, store[verb], store, ...))
  if results[1] == nil then
    if results[2] == "closed" and self.closed then return nil, "closed", "closed" end
    return its_failure(self, verb, results[2], results[3])
  end
  return table.unpack(results, 1, results.n)
end

--- A verb that answers true.
local function plain(verb)
  return function(self, ...)
    local ok, message, code = call(self, verb, TIMEOUT, ...)
    if ok == nil then return nil, message, code end
    if ok ~= true then return refuse(self, verb, "true, nor nil and a message") end
    return true
  end
end

-- ---- registering ----

function class:register(record, ttl)
  local checked, message, code = core.discovery.record(record)
  if not checked then return nil, "cannot register: " .. message, code end
  checked.revision = nil
  local ok
  ok, message, code = call(self, "register", TIMEOUT, checked, ttl)
  if ok == nil then return nil, message, code end
  if ok ~= true then return refuse(self, "register", "true, nor nil and a message") end
  return true
end

class.renew, class.deregister = plain "renew", plain "deregister"

-- ---- looking ----

local function is_list(value, max)
  if type(value) ~= "table" or #value > max then return false end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  return count == #value
end

--- Records as every reader gets them, or nil and what is wrong with one.
local function records_of(self, service, list)
  local records = json.array({})
  for i, found in ipairs(list) do
    if type(found) ~= "table" then return nil, ("[%d]: is no table"):format(i) end
    local copy = { service = service }
    for key, value in pairs(found) do copy[key] = value end
    local record, message = core.discovery.record(copy)
    if not record then return nil, ("[%d].%s"):format(i, message) end
    if record.service ~= service then return nil, ("[%d]: is of another service"):format(i) end
    record.source = self.kind
    records[i] = record
  end
  table.sort(records, function(a, b) return a.id < b.id end)
  return records
end

function class:lookup(service, cursor, timeout)
  timeout = timeout or 60
  local list, more, code = call(self, "lookup", TIMEOUT + (cursor and timeout or 0), service,
    cursor, timeout)
  if list == nil then return nil, more, code end
  if not is_list(list, MAX_RECORDS) then return refuse(self, "lookup", "list of records") end
  local records, message = records_of(self, service, list)
  if not records then return refuse(self, "lookup", "record at " .. message) end
  if not self.capabilities.watch then return records end
  if type(more) ~= "string" or #more > MAX_CURSOR then
    return refuse(self, "lookup", "cursor, which a backend that can watch gives as a string")
  end
  return records, more
end

function class:services()
  local list, message, code = call(self, "services", TIMEOUT)
  if list == nil then return nil, message, code end
  if not is_list(list, MAX_NAMES) then return refuse(self, "services", "list of names") end
  for _, name in ipairs(list) do
    if type(name) ~= "string" or #name > 63 or not name:find("^%w[%w._-]*$") then
      return refuse(self, "services", "list of names")
    end
  end
  local names = table.move(list, 1, #list, 1, json.array({}))
  table.sort(names)
  return names
end

-- ---- locks and keys ----

local function needs(capability, what, verb)
  return function(self, ...)
    if not self.capabilities[capability] then
      return nil, ("the discovery backend %s has no %s; use consul or etcd for them"):format(
        self.kind, what), "invalid"
    end
    return verb(self, ...)
  end
end

class.renew_lock = needs("lock", "locks", plain "renew_lock")
class.unlock = needs("lock", "locks", plain "unlock")
class.kv_delete = needs("kv", "keys and values", plain "kv_delete")

class.lock = needs("lock", "locks", function(self, key, options)
  local held, message, code = call(self, "lock", TIMEOUT + (options and options.timeout or 0), key,
    { ttl = options and options.ttl or 15, value = options and options.value or "",
      timeout = options and options.timeout or 0 })
  if held == nil then return nil, message, code end
  local good = type(held) == "table" and type(held.lock) == "string"
    and math.type(held.token) == "integer"
  if not good then return refuse(self, "lock", "{lock, token}") end
  return { lock = held.lock, token = held.token }
end)

class.kv_get = needs("kv", "keys and values", function(self, key, cursor, timeout)
  local found, more, code = call(self, "kv_get", TIMEOUT + (cursor and timeout or 60), key, cursor,
    timeout)
  if found == nil then return nil, more, code end
  local good = type(found) == "table" and math.type(found.revision) == "integer"
    and (found.value == nil or type(found.value) == "string")
  if not good then return refuse(self, "kv_get", "{value, revision}") end
  return { value = found.value, revision = found.revision }, type(more) == "string" and more or nil
end)

class.kv_put = needs("kv", "keys and values", function(self, key, value, revision)
  local made, message, code = call(self, "kv_put", TIMEOUT, key, value, revision)
  if made == nil then return nil, message, code end
  if math.type(made) ~= "integer" then return refuse(self, "kv_put", "revision") end
  return made
end)

-- ---- opening and closing ----

--- Ends all that waits in it.
function class:close()
  if self.closed then return end
  self.closed = true
  for running in pairs(self.running) do running:cancel() end
end

local CAPABILITIES = { watch = true, lock = true, kv = true }

local function read(name, dir)
  local value, from = plugin.read("backend", name, dir)
  if value == nil then
    local place = from.file and from.file .. (from.line and ":" .. from.line or "") .. ": " or ""
    return nil, place .. from.message
  end
  if type(value) ~= "table" or type(value.open) ~= "function" then
    return nil, from .. ": a backend is a table with the function open(ctx, options)"
  end
  for key in pairs(type(value.capabilities) == "table" and value.capabilities or {}) do
    if not CAPABILITIES[key] then
      return nil, ('%s: capabilities: "%s" is not one of watch, lock, kv'):format(from,
        tostring(key))
    end
  end
  return value, from
end

--- The defaults of its options, with what the stack says of them.
local function options_of(value, path, given)
  local options, known = {}, type(value.options) == "table" and value.options or {}
  for key, default in pairs(known) do options[key] = default end
  for key, option in pairs(given) do
    if known[key] == nil then
      return nil, ('discovery.options.%s: %s has no option "%s"%s'):format(key, path, key,
        suggest.hint(key, suggest.names(known)))
    end
    options[key] = option
  end
  return options
end

--- Opens the backend in the file `name`; `given` are its options, `dir` where names begin. A handle
-- with the verbs of orrery.discovery | nil, message, "invalid".
function M.open(name, given, dir)
  local value, path = read(name, dir)
  if not value then return nil, path, "invalid" end
  local options, message = options_of(value, path, given)
  if not options then return nil, message, "invalid" end
  local can = type(value.capabilities) == "table" and value.capabilities or {}
  return setmetatable({ kind = name:match("([^/]+)$"):gsub("%.lua$", ""), plugin = value,
    path = path, options = options, running = {},
    capabilities = { watch = can.watch == true, lock = can.lock == true, kv = can.kv == true } },
    class)
end

return M
