--- mkHealthCheck -- the check of a dependency, which runs.
local core = require "orrery.core"
local mkDependency = require "orrery.seed.mkDependency"

local FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60

local RULES = { retries = true, backoff = true, interval = true, role = true, name = true,
  rise = true, fall = true, startPeriod = true }

--- What the engine is told: one try; how often and when is said around it.
local function spec_of(check)
  local spec = {}
  for key, value in pairs(check) do if not RULES[key] then spec[key] = value end end
  return spec
end

local function pause(dependency, tries)
  return core.check.backoff({ kind = dependency.healthCheck.backoff, first = FIRST_PAUSE,
    max = LONGEST_PAUSE, jitter = 0 }, tries, 0)
end

--- The longest that all tries with their pauses can take.
local function total(dependency)
  local check = dependency.healthCheck
  local seconds = check.retries * check.timeout
  for tries = 0, check.retries - 2 do seconds = seconds + pause(dependency, tries) end
  return seconds
end

-- A script of its own, as `orrery script` runs it.
local SCRIPT = [==[
#!/usr/bin/env -S orrery script
-- Checks the health of %s. Exit code 0: healthy.
local orrery = require "orrery"
local dependency = assert(orrery.json.decode(%q))
local ok, message = orrery.mkHealthCheck(dependency).run()
print(message)
return ok or false
]==]

local function script_of(dependency)
  return SCRIPT:format(dependency.name, core.json.encode(dependency))
end

return function(dependency)
  if type(dependency) ~= "table" then
    error("mkHealthCheck: expected a dependency, as mkDependency makes it", 2)
  end
  dependency = mkDependency(dependency)
  local check = dependency.healthCheck
  if not check.strategy then
    error(("mkHealthCheck: nothing is known of %s to look at; say it by healthCheck = { strategy = "
      .. "... }"):format(dependency.name), 2)
  end
  local public = require "orrery.public.check"
  local result = { name = ("%s-health-check-%s"):format(check.strategy, dependency.name),
    spec = spec_of(check), timeout = total(dependency) }

  --- One verdict after the other until one passes, `retries` of them. Waits.
  function result.run()
    local verdict
    for try = 1, check.retries do
      verdict = public.run(result.spec)
      if verdict.ok then return true, verdict.message end
      if try < check.retries then core.time.sleep(pause(dependency, try - 1)) end
    end
    return nil, ("Health check failed for %s after %d attempts: %s"):format(dependency.name,
      check.retries, verdict.message), "failed"
  end

  --- On and on at its interval: a handle of orrery.check.
  function result.start()
    local spec = spec_of(check)
    spec.interval, spec.fall, spec.backoff = check.interval, check.retries, check.backoff
    return public.start(spec)
  end

  function result.script() return script_of(dependency) end

  return result
end
