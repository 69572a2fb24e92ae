--- reached -- whether the services of a state are where somebody waits for them to be.
local M = {}

M.goals = {
  healthy = function(instance)
    return (instance.state == "running" or instance.state == "done") and instance.good
  end,
  running = function(instance) return instance.state == "running" or instance.state == "done" end,
  stopped = function(instance) return instance.state == "stopped" end,
}

--- {pds = true} for {"pds"}.
function M.set(names)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return set
end

local function each(state, set)
  return coroutine.wrap(function()
    for _, service in ipairs(state.services) do
      for _, instance in ipairs((not set or set[service.name]) and service.instances or {}) do
        coroutine.yield(instance)
      end
    end
  end)
end

--- Whether `is(instance)` of every instance of the services in `set` (nil: all).
function M.every(state, set, is)
  for instance in each(state, set) do if not is(instance) then return false end end
  return true
end

local function words(instance)
  local reason = instance.reason or instance.message
  return ("%s is %s, health %s%s"):format(instance.id, instance.state, instance.health,
    reason and reason ~= "" and (" (%s)"):format(reason) or "")
end

local function those_not(state, set, is)
  local list = {}
  for instance in each(state, set) do
    if not is(instance) then list[#list + 1] = words(instance) end
  end
  return #list > 0 and table.concat(list, "; ") or nil
end

--- What is not as a command wanted it, now that all is at rest; nil if nothing.
function M.trouble(state, set, verb)
  if verb == "stop" then return those_not(state, set, M.goals.stopped) end
  return those_not(state, set, function(instance) return instance.good end)
end

--- Waits until the services are at the goal, or one has failed and will not get there.
function M.wait(client, set, goal, timeout)
  local is, last = M.goals[goal], nil
  local function done(state)
    last = state
    if M.every(state, set, is) then return "there" end
    if goal ~= "stopped" and not M.every(state, set, function(i) return i.state ~= "failed" end)
    then
      return "failed"
    end
  end
  local state, how, code = client:wait(done, timeout)
  if how == "there" then return state end
  if state then return nil, those_not(state, set, is), "failed" end
  if goal == "stopped" and code ~= "timeout" then return true end -- the agent has ended
  if code == "timeout" then
    how = ("not %s within %g s: %s"):format(goal, timeout, those_not(last, set, is) or "")
  end
  return nil, how, code
end

return M
