--- registrar -- keeps the discovery backends in step with this node's instances.
--
-- For each backend of the chain one task owns what is registered there: an instance is registered
-- once it is healthy (or runs, where it has no check), renewed while it runs, deregistered when it
-- fails or ends. A backend that fails is tried again with backoff; nobody waits for it, not the
-- other backends either, and nothing that was wanted is forgotten.
local core = require "orrery.core"
local discovery = require "orrery.discovery"
local events = require "orrery.events"
local instances_of = require "orrery.supervisor.instances"
local suggest = require "orrery.suggest"

local M = {}

local RETRY_FIRST, RETRY_LONGEST = 0.5, 5
local PATIENCE = 2 -- seconds for which a first registration may keep a service from being settled
local AT_ONCE = 32 -- requests to one backend, which may so take them together

-- Failures of one record, not of the backend: the others are tried, too.
local OF_RECORD = { invalid = true, exists = true, not_found = true }

local NONE = {}

--- The record of an instance, as the backend gets it. No secrets: `url` is never in it.
local function record_of(node, i)
  local service = i.service
  return { service = service.name, id = i.id, node = node, address = i.address, port = i.port,
    scheme = service.scheme, did = i.did, tags = instances_of.said(i, "tags") or NONE,
    meta = instances_of.said(i, "meta") or NONE,
    status = "passing" }
end

local function new_part(part, options)
  return { backend = part.handle, name = part.name, ttl = options.ttl, log = options.log,
    queue = core.task.queue(), wanted = {}, registered = {}, due = {}, failures = 0, told = {},
    asked = {} }
end

--- Makes a registrar over an open discovery. Options: discovery, node, ttl (seconds), log (events),
-- checks_on (false: what runs is registered).
function M.new(options)
  local registrar = { node = options.node, checks_on = options.checks_on ~= false, parts = {},
    wanted = {} }
  for i, part in ipairs(options.discovery.parts) do
    registrar.parts[i] = new_part(part, options)
  end
  return registrar
end

local function push(registrar, change)
  for _, part in ipairs(registrar.parts) do part.queue:push(change) end
end

--- Notes since when a first registration is under way.
local function ask(registrar, id, is_up)
  for _, part in ipairs(registrar.parts) do
    local first = is_up and not part.registered[id]
    part.asked[id] = first and (part.asked[id] or core.time.monotonic()) or nil
  end
end

--- Whether an instance is about to be registered for the first time: who looks it up may miss it.
function M.is_busy(registrar, id)
  for _, part in ipairs(registrar.parts) do
    local asked = part.asked[id]
    if asked and core.time.monotonic() - asked < PATIENCE then return true end
  end
  return false
end

--- Tells it that an instance changed. Never waits.
function M.changed(registrar, i)
  local running = i.state == "running"
  local up = running and (i.health == "passing" or i.unchecked or not registrar.checks_on)
  local gone = not running or i.health == "failing"
  local service = i.service
  if service.external or service.embedded or service.oneshot then return end
  if up or gone then ask(registrar, i.id, up) end
  if up then
    registrar.wanted[i.id] = true
    push(registrar, { id = i.id, record = record_of(registrar.node, i) })
  elseif gone and registrar.wanted[i.id] then
    registrar.wanted[i.id] = nil
    push(registrar, { id = i.id })
  end
end

--- Takes charge of a record that is registered already: it is renewed from now on. `where`: the set
-- of the backends that have it, by their numbers; the others are tried again soon, and the failure
-- with this code is told already.
function M.adopt(registrar, record, where, code)
  for i, part in ipairs(registrar.parts) do
    part.wanted[record.id] = record
    if where[i] then
      part.registered[record.id] = record
    else
      part.due[record.id], part.failures, part.told[code or "failed"] = true, 1, true
    end
  end
end

-- ---- one backend ----

local function report(part, message, fields)
  fields.type, fields.reason, fields.backend = "discovery", message, part.name
  events.add(part.log, fields)
end

--- Tells of a failure once, however often it is tried again. Returns false, and whether there is a
-- point in trying others.
local function failed(part, id, doing, err, code)
  code = code or "failed"
  if not part.told[code] then
    part.told[code] = true
    report(part, OF_RECORD[code] and err or discovery.failure(doing, part.name, err),
      { instance = id, failed = true })
  end
  return false, OF_RECORD[code] == true
end

local function same(a, b) return core.json.encode(a) == core.json.encode(b) end

local function try_to_apply(part, id)
  local want, have = part.wanted[id], part.registered[id]
  if want and not (have and same(want, have)) then
    local ok, err, code = part.backend:register(want, part.ttl)
    if not ok then return failed(part, id, "register with", err, code) end
    part.registered[id] = want
    report(part, "registered with " .. part.name, { service = want.service, instance = id })
  elseif have and not want then
    local ok, err, code = part.backend:deregister(have.service, id)
    if not ok then return failed(part, id, "deregister from", err, code) end
    part.registered[id] = nil
    report(part, "deregistered from " .. part.name, { service = have.service, instance = id })
  end
  return true
end

--- One try to make the backend hold what is wanted for `id`. Returns true when it does, else what
-- failed() does.
local function apply(part, id)
  local ok, others = try_to_apply(part, id)
  part.asked[id] = nil
  part.due[id] = not ok or nil
  return ok, others
end

--- Renews one record; one that the backend has no more is registered again.
local function renew(part, id)
  local have = part.registered[id]
  if not have then return true end
  local ok, err, code = part.backend:renew(have.service, id)
  if ok then return true end
  if code == "not_found" then
    part.registered[id], part.due[id] = nil, true
    return true
  end
  return failed(part, id, "renew the records of", err, code)
end

local function cancel_on_exit(tasks)
  return setmetatable({}, { __close = function()
    for _, running in ipairs(tasks) do running:cancel() end
  end })
end

--- Does something for each id of a set, some of them at a time, until the backend is found to be
-- away. False if some of it failed.
local function each(part, set, fn)
  local ids, good, away, at, workers = suggest.names(set), true, false, 0, {}
  local function work()
    while at < #ids and not away do
      at = at + 1
      local ok, others = fn(part, ids[at])
      good, away = good and ok, away or not (ok or others)
    end
  end
  local _ <close> = cancel_on_exit(workers)
  for n = 1, math.min(#ids, AT_ONCE) do workers[n] = core.task.spawn(work) end
  for _, worker in ipairs(workers) do
    local _, fault, code = worker:join()
    if code == "failed" then error(fault, 0) end
  end
  return good
end

--- One round: renews what is due, then makes the backend hold what is wanted. What failed is tried
-- again after a pause.
local function round(part, every)
  local renewed = true
  if core.time.monotonic() >= part.renew_at then
    renewed = each(part, part.registered, renew)
    if renewed then part.renew_at = core.time.monotonic() + every * (0.9 + math.random() / 5) end
  end
  local good = each(part, part.due, apply) and renewed
  if good and next(part.told) then
    report(part, ("discovery backend %s works again"):format(part.name), {})
    part.told = {}
  end
  part.failures = good and 0 or part.failures + 1
end

local function pause(part)
  if part.failures == 0 then
    return math.max(part.renew_at - core.time.monotonic(), 0)
  end
  local longest = math.min(RETRY_LONGEST, part.ttl / 4)
  local backoff = math.min(longest, RETRY_FIRST * 2 ^ math.min(part.failures - 1, 10))
  return backoff * (0.75 + math.random() / 2)
end

local function run_part(part)
  local every = part.ttl / 3
  part.renew_at = core.time.monotonic() + every
  while true do
    local change = part.queue:pop(pause(part))
    if change and change.close then break end
    if change then part.wanted[change.id], part.due[change.id] = change.record, true end
    if #part.queue == 0 then round(part, every) end
  end
  part.wanted = {}
  each(part, part.registered, apply)
end

-- ---- all of them ----

--- Runs until close(). Waits.
function M.run(registrar)
  local tasks = {}
  local _ <close> = cancel_on_exit(tasks)
  for i, part in ipairs(registrar.parts) do tasks[i] = core.task.spawn(run_part, part) end
  for i, running in ipairs(tasks) do
    local _, err, code = running:join()
    if code == "failed" then
      core.log.error(("registering with discovery backend %s failed: %s"):format(
        registrar.parts[i].name, err))
    end
  end
end

--- Asks it to deregister everything and end; join its task to wait for that.
function M.close(registrar) push(registrar, { close = true }) end

return M
