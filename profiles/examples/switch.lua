#!/usr/bin/env -S orrery script
--- switch.lua [STACK] -- starts the version that is not live, blue or green, and makes it live once
-- it is healthy; the other one stops after a pause. If it does not become healthy nothing changes.
--
-- What is live is a record in discovery, `site`: whoever asks for that service, in a template or by
-- a lookup, follows.
local orrery = require "orrery"

local OTHER = { blue = "green", green = "blue" }
local PAUSE = tonumber(os.getenv "SWITCH_PAUSE") or 5 -- seconds for requests that are under way
local PATIENCE = 60

local stack, message = orrery.stack.load(arg[1], { set = { domain = os.getenv "DOMAIN" } })
if not stack then return nil, message end
local discovery <close> = assert(stack:discovery())

--- The record of what is live; nil before there is one.
local function live() return assert(discovery:lookup("site"))[1] end

--- Starts a version, with an agent that goes on when this script has ended.
local function start(name)
  if stack:status() then return stack:start(name, { timeout = PATIENCE }) end
  return stack:up { services = { name, "reader" }, detach = true, timeout = PATIENCE }
end

local function switch_to(name)
  local instance = assert(stack:service(name):status()).instances[1]
  return discovery:register { service = "site", id = "site@live", address = instance.address,
    port = instance.port, meta = { version = name } }
end

local before = live()
local old = before and before.meta.version
local new = OTHER[old] or "blue"

local ok
ok, message = start(new)
if ok then ok, message = stack:wait(new, { timeout = PATIENCE }) end
if not ok then
  stack:stop(new)
  return nil, ("%s does not become healthy, %s stays live: %s"):format(new, old or "nothing",
    message)
end
assert(switch_to(new))
print(("%s is live"):format(new))
if old then
  orrery.time.sleep(PAUSE)
  assert(stack:stop(old))
  print(("%s is stopped"):format(old))
end
