--- registrar -- keeps the discovery backend in step with this node's instances.
--
-- One task owns what is registered: an instance is registered once it is healthy (or runs, where it
-- has no check), renewed while it runs, deregistered when it fails or ends. A backend that fails is
-- tried again with backoff; nobody waits for it, and nothing that was wanted is forgotten.
local core = require "orrery.core"
local events = require "orrery.events"

local M = {}

local RETRY_FIRST, RETRY_LONGEST = 0.5, 15

--- The record of an instance, as the backend gets it. No secrets: `url` is never in it.
local function record_of(node, i)
  local service = i.service
  return { service = service.name, id = i.id, node = node, address = i.address, port = i.port,
    scheme = service.scheme, did = i.did, tags = service.tags or {}, meta = service.meta or {},
    status = "passing" }
end

--- Makes a registrar over an open backend; `ttl` in seconds.
function M.new(options)
  return { backend = options.backend, name = options.name, node = options.node, ttl = options.ttl,
    log = options.log, queue = core.task.queue(), wanted = {}, registered = {}, failures = 0,
    checks_on = options.checks_on ~= false }
end

--- Tells it that an instance changed. Never waits.
function M.changed(registrar, i)
  local running = i.state == "running"
  local up = running and (i.health == "passing" or i.unchecked or not registrar.checks_on)
  local gone = not running or i.health == "failing"
  local service = i.service
  if service.external or service.embedded or service.oneshot then return end
  if up then registrar.queue:push({ id = i.id, record = record_of(registrar.node, i) })
  elseif gone then registrar.queue:push({ id = i.id, service = service.name }) end
end

local function report(registrar, message, fields)
  fields.type, fields.reason = "discovery", message
  events.add(registrar.log, fields)
end

--- Tells of a failure once, however often it is tried again. Returns false.
local function failed(registrar, id, doing, err)
  local message = ("Cannot %s discovery backend %s: %s"):format(doing, registrar.name, err)
  if message ~= registrar.last_error then
    report(registrar, message, { instance = id, failed = true })
  end
  registrar.last_error = message
  return false
end

local function same(a, b) return core.json.encode(a) == core.json.encode(b) end

--- One try to make the backend hold what is wanted for `id`. Returns true when it does.
local function apply(registrar, id)
  local want, have = registrar.wanted[id], registrar.registered[id]
  local ok, err
  if want and not (have and same(want, have)) then
    ok, err = registrar.backend:register(want, registrar.ttl)
    if ok then
      registrar.registered[id] = want
      report(registrar, "registered", { service = want.service, instance = id })
    end
  elseif have and not want then
    ok, err = registrar.backend:deregister(have.service, id)
    if ok then
      registrar.registered[id] = nil
      report(registrar, "deregistered", { service = have.service, instance = id })
    end
  else
    return true
  end
  return ok or failed(registrar, id, want and "register with" or "deregister from", err)
end

local function ids_of(...)
  local ids, list = {}, {}
  for _, map in ipairs({ ... }) do for id in pairs(map) do ids[id] = true end end
  for id in pairs(ids) do list[#list + 1] = id end
  table.sort(list)
  return list
end

--- Renews every record; one that the backend has no more is registered again. False if some could
-- not be renewed.
local function renew_all(registrar)
  local good = true
  for _, id in ipairs(ids_of(registrar.registered)) do
    local ok, err, code = registrar.backend:renew(registrar.registered[id].service, id)
    if not ok and code == "not_found" then
      registrar.registered[id] = nil
    elseif not ok then
      good = failed(registrar, id, "renew the records of", err)
    end
  end
  return good
end

local function apply_all(registrar)
  local good = true
  for _, id in ipairs(ids_of(registrar.wanted, registrar.registered)) do
    good = apply(registrar, id) and good
  end
  return good
end

--- One round: renews what is due, then makes the backend hold what is wanted. What failed is tried
-- again after a pause.
local function round(registrar, every)
  local renewed = true
  if core.time.monotonic() >= registrar.renew_at then
    renewed = renew_all(registrar)
    if renewed then registrar.renew_at = core.time.monotonic() + every end
  end
  local good = apply_all(registrar) and renewed
  if good and registrar.last_error then
    report(registrar, ("discovery backend %s works again"):format(registrar.name), {})
    registrar.last_error = nil
  end
  registrar.failures = good and 0 or registrar.failures + 1
end

local function pause(registrar)
  if registrar.failures == 0 then
    return math.max(registrar.renew_at - core.time.monotonic(), 0)
  end
  local longest = math.min(RETRY_LONGEST, registrar.ttl / 4)
  local backoff = math.min(longest, RETRY_FIRST * 2 ^ math.min(registrar.failures - 1, 10))
  return backoff * (0.75 + math.random() / 2)
end

--- Runs until close(). Waits.
function M.run(registrar)
  local every = registrar.ttl / 3
  registrar.renew_at = core.time.monotonic() + every
  while true do
    local change = registrar.queue:pop(pause(registrar))
    if change and change.close then break end
    if change then registrar.wanted[change.id] = change.record end
    if #registrar.queue == 0 then round(registrar, every) end
  end
  registrar.wanted = {}
  apply_all(registrar)
end

--- Asks it to deregister everything and end; join its task to wait for that.
function M.close(registrar) registrar.queue:push({ close = true }) end

return M
