--- registrar -- keeps the discovery backend in step with this node's instances.
--
-- One task owns what is registered: an instance is registered once it is healthy, renewed while it
-- runs, deregistered when it ends. A backend that fails is tried again with backoff; nobody waits
-- for it.
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
    log = options.log, queue = core.task.queue(), wanted = {}, registered = {}, failures = 0 }
end

--- Tells it that an instance changed. Never waits.
function M.changed(registrar, i)
  local up = i.state == "running" and i.health == "passing"
  local gone = i.state ~= "running"
  local service = i.service
  if service.external or service.embedded or service.oneshot then return end
  if up then registrar.queue:push({ id = i.id, record = record_of(registrar.node, i) })
  elseif gone then registrar.queue:push({ id = i.id, service = service.name }) end
end

local function report(registrar, message, fields)
  fields.type, fields.reason = "discovery", message
  events.add(registrar.log, fields)
end

--- One try to make the backend hold what is wanted for `id`. Returns true when it does.
local function apply(registrar, id)
  local want, have = registrar.wanted[id], registrar.registered[id]
  local ok, err
  if want and not have then
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
  if not ok then
    local message = ("Cannot register with discovery backend %s: %s"):format(registrar.name, err)
    if message ~= registrar.last_error then
      report(registrar, message, { instance = id, failed = true })
    end
    registrar.last_error = message
  end
  return ok
end

local function renew_all(registrar)
  for id, record in pairs(registrar.registered) do
    local ok, _, code = registrar.backend:renew(record.service, id)
    if not ok and code == "not_found" then registrar.registered[id] = nil end
  end
end

local function apply_all(registrar)
  local ids, good = {}, true
  for id in pairs(registrar.wanted) do ids[id] = true end
  for id in pairs(registrar.registered) do ids[id] = true end
  for id in pairs(ids) do good = apply(registrar, id) and good end
  registrar.failures = good and 0 or registrar.failures + 1
  if good then registrar.last_error = nil end
end

local function pause(registrar, renew_at)
  local left = math.max(renew_at - core.time.monotonic(), 0)
  if registrar.failures == 0 then return left end
  local backoff = math.min(RETRY_LONGEST, RETRY_FIRST * 2 ^ math.min(registrar.failures - 1, 10))
  return math.min(left, backoff * (0.75 + math.random() / 2))
end

--- Runs until close(). Waits.
function M.run(registrar)
  local every = registrar.ttl / 3
  local renew_at = core.time.monotonic() + every
  while true do
    local change = registrar.queue:pop(pause(registrar, renew_at))
    if change and change.close then break end
    if change then
      registrar.wanted[change.id] = change.record
      if change.record and registrar.registered[change.id]
        and registrar.registered[change.id].port ~= change.record.port then
        registrar.registered[change.id] = nil
      end
    end
    if core.time.monotonic() >= renew_at then
      renew_all(registrar)
      renew_at = core.time.monotonic() + every
    end
    if #registrar.queue == 0 then apply_all(registrar) end
  end
  registrar.wanted = {}
  apply_all(registrar)
end

--- Asks it to deregister everything and end; join its task to wait for that.
function M.close(registrar) registrar.queue:push({ close = true }) end

return M
