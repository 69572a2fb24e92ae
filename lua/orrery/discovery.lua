--- discovery -- where instances are registered and found: a stack's backend, and those behind it.
--
-- open() gives one object with the verbs of a backend (orrery.discovery in the manual). Registering
-- goes to every backend; looking goes to the first, and to the next one only when it errs.
local cache_of = require "orrery.discovery.cache"
local core = require "orrery.core"
local luabackend = require "orrery.discovery.luabackend"
local options_of = require "orrery.discovery.options"
local secret = require "orrery.secret"
local watch = require "orrery.discovery.watch"

local M = {}

-- How many questions of watches may wait at a server at the same time, and be answered at once,
-- where it bears few: Consul closes the connections beyond 200 of one address, which others share.
local PLACES = { consul = { waiting = 100, short = 40 } }
local FIRST_ANSWER = 2 -- seconds that known() waits for the first answer

local class = {}
class.__index = class

-- ---- sentences ----

--- "consul at 127.0.0.1:8500: connection refused": a message that begins with an address names the
-- place, any other is the reason.
local function told_by(name, message)
  local at = message:find("^%a+://%S+: ") or message:find("^%[?[%w.:_-]+%]?:%d+: ")
  return ("%s%s %s"):format(name, at and " at" or ":", message)
end

--- "Cannot register with discovery backend consul at 127.0.0.1:8500: connection refused".
function M.failure(doing, name, message)
  return ("Cannot %s discovery backend %s"):format(doing, told_by(name, tostring(message)))
end

-- Answers to what was asked, no failures of the backend: they say all there is to say.
local PLAIN = { invalid = true, closed = true }
local ANSWER = { invalid = true, closed = true, not_found = true, exists = true }

local function failed(doing, part, message, code, plain)
  if (plain or ANSWER)[code] then return nil, message, code end
  return nil, M.failure(doing, part.name, message), code
end

-- ---- opening ----

--- Replaces the secrets in a table of options by their texts. Waits. nil, message, code if one
-- cannot be had.
local function reveal(options, secrets, path)
  for key, value in pairs(options) do
    if secret.is(value) then
      local text, message, code = secrets:resolve(value)
      if not text then return nil, ("%s.%s: %s"):format(path, key, message), code end
      options[key] = text
    end
  end
  return options
end

local function open_builtin(name, discovery, how)
  local options = options_of.of(discovery, name, how.dir)
  if name == "file" then options.filePath = options.filePath or how.folder end
  if name == "env" then options.envFile = options.envFile or how.env_file end
  local revealed, message, code = reveal(options, how.secrets, "discovery")
  if not revealed then return nil, message, code end
  return core.discovery.open(name, revealed)
end

local function open_lua(name, discovery, how)
  local given = {}
  for key, value in pairs(discovery.options or {}) do given[key] = value end
  local revealed, message, code = reveal(given, how.secrets, "discovery.options")
  if not revealed then return nil, message, code end
  return luabackend.open(name, revealed, how.dir)
end

local function open_part(name, discovery, how)
  local open = options_of.is_builtin(name) and open_builtin or open_lua
  local handle, message, code = open(name, discovery, how)
  if not handle and code ~= "invalid" then
    return nil, M.failure(how.doing or "use", name, message), code
  elseif not handle then
    return nil, ("discovery backend %s: %s"):format(name, message), code
  end
  local part = { name = handle.kind, handle = handle, capabilities = handle.capabilities }
  for kind, max in pairs(PLACES[name] or {}) do part[kind] = watch.places(max) end
  return part
end

--- What `from` (a stack, or a table of discovery's keys) says, and where its paths begin.
local function settings_of(from, given)
  local how = {}
  for key, value in pairs(given or {}) do how[key] = value end
  how.tell = how.tell or core.log.warn
  if not from.discovery then
    how.secrets = how.secrets or secret.open(".")
    return from, how
  end
  how.secrets = how.secrets or secret.open(from.dirs.state .. "/secrets")
  how.dir = how.dir or from.dir
  how.folder = how.folder or from.dirs.discovery
  how.env_file = how.env_file or from.dirs.state .. "/services.env"
  how.cache = how.cache or from.dirs.state .. "/last-known"
  return from.discovery, how
end

local function watches_of(self, how)
  local interval = self.discovery.healthCheckInterval
    or options_of.default("healthCheckInterval")
  return watch.new({ parts = self.parts, interval = interval, grace = how.grace,
    notice = how.notice,
    cache = how.cache and cache_of.open(how.cache, { keep = how.keep, tell = how.tell }),
    sentence = function(part, message, code)
      return (select(2, failed("query", part, message, code, PLAIN)))
    end })
end

--- Opens the backends that a stack names, or a plain table of the keys of `discovery`. Waits, if a
-- secret is to be had from a command. `how` (optional): secrets (a store), dir (where relative
-- paths begin), env_file (of the env backend, unless
-- it is told), cache (the folder of the last good answers), keep (true: write there, too),
-- tell(message), notice(service, stale, error) when the answers of a watch become old or fresh
-- again, grace (seconds that an answer may take), doing ("register with": what it is opened for, as
-- a failure says). Returns an object | nil, message, code.
function M.open(from, how)
  local discovery
  discovery, how = settings_of(from, how)
  local self = setmetatable({ parts = {}, discovery = discovery, kept = {} }, class)
  for i, name in ipairs(options_of.chain(discovery)) do
    local part, message, code = open_part(name, discovery, how)
    if not part then
      self:close()
      return nil, message, code
    end
    self.parts[i] = part
  end
  self.kind, self.capabilities = self.parts[1].name, self.parts[1].capabilities
  self.watches = watches_of(self, how)
  return self
end

-- ---- registering: with every backend ----

--- Runs a verb on every backend. The first failure is the result, but it stops no other: behind it
-- comes the set of those that did it, by their numbers.
local function with_all(self, doing, verb, ...)
  local result, done = { true }, {}
  for i, part in ipairs(self.parts) do
    local handle = part.handle
    local ok, message, code = handle[verb](handle, ...)
    done[i] = ok
    if not ok and result[1] then result = table.pack(failed(doing, part, message, code)) end
  end
  return result[1], result[2], result[3], done
end

function class:register(record, ttl, options)
  return with_all(self, "register with", "register", record, ttl, options)
end

function class:renew(service, id)
  return with_all(self, "renew the records of", "renew", service, id)
end

function class:deregister(service, id)
  return with_all(self, "deregister from", "deregister", service, id)
end

-- ---- looking: at the first that answers ----

--- Asks the backends in turn; what the first of them said counts if none answers.
local function from_first(self, doing, ask)
  local first
  for i, part in ipairs(self.parts) do
    local value, more, code = ask(part.handle, i)
    if value then return value, more, i end
    first = first or table.pack(failed(doing, part, more, code, PLAIN))
    if code == "closed" then break end
  end
  return table.unpack(first, 1, 3)
end

--- A backend that cannot watch is asked again each interval until its answer, which is its own
-- cursor, has changed.
local function poll(self, handle, service, cursor, timeout)
  local deadline = core.time.monotonic() + (timeout or 60)
  while true do
    local records, message, code = handle:lookup(service)
    if not records then return nil, message, code end
    local text = core.json.encode(records, { lossy = true })
    local left = deadline - core.time.monotonic()
    if text ~= cursor or left <= 0 then return records, text end
    core.time.sleep(math.min(left, self.watches.interval))
  end
end

--- As a backend's. The cursor tells whose answer it is: when a backend before that one answers
-- again, its answer is a new one.
function class:lookup(service, cursor, timeout)
  local owner, rest = (cursor or ""):match("^(%d+)|(.*)$")
  local function ask(handle, i)
    if not handle.capabilities.watch then
      return poll(self, handle, service, tostring(i) == owner and rest, timeout)
    end
    if tostring(i) == owner then return handle:lookup(service, rest, timeout) end
    return handle:lookup(service)
  end
  local records, more, i = from_first(self, "query", ask)
  if not records then return nil, more, i end
  return records, i .. "|" .. tostring(more)
end

function class:services()
  local names, more, code = from_first(self, "query", function(handle) return handle:services() end)
  if not names then return nil, more, code end
  return names
end

-- ---- watching ----

--- Watches a service: an object whose next([timeout]) waits for what it has not given yet: records,
-- {age, source, stale, error}. It returns for other records and when the answer becomes
-- old or fresh again, at first with what is known. nil, message, code while nothing is. The records
-- are shared: do not write to them. close() it.
function class:watch(service)
  if type(service) ~= "string" or #service > 63 or not service:find("^%w[%w._-]*$") then
    error("a service's name is up to 63 letters, digits and . _ - (not first)", 2)
  end
  if self.closed then return nil, "closed", "closed" end
  return watch.watch(self.watches, service)
end

--- What is known of a service, as watch() gives it; it is watched from now on. Waits at the first
-- time only, and not for long.
function class:known(service)
  if self.closed then return nil, "closed", "closed" end
  local waiter = self.kept[service] or self:watch(service)
  self.kept[service] = waiter
  if waiter.seen == 0 then waiter:next(FIRST_ANSWER) end
  waiter.seen = math.max(waiter.seen, 1)
  return waiter:last()
end

-- ---- locks and keys: of the first only, as two would be held by two ----

for verb, doing in pairs { lock = "take a lock of", renew_lock = "renew a lock of",
  unlock = "release a lock of", kv_get = "read a key of", kv_put = "write a key of",
  kv_delete = "delete a key of" } do
  class[verb] = function(self, ...)
    local part = self.parts[1]
    local value, more, code = part.handle[verb](part.handle, ...)
    if value == nil then return failed(doing, part, more, code) end
    return value, more
  end
end

-- ---- the end ----

--- Ends all that waits; what is registered stays.
function class:close()
  if self.closed then return end
  self.closed = true
  if self.watches then watch.close(self.watches) end
  for _, part in ipairs(self.parts) do part.handle:close() end
end

class.__close = class.close

return M
