local follow = require "orrery.cli.follow"
local present = require "orrery.cli.present"
local reached = require "orrery.public.reached"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local REACHED = reached.goals

local function each(state, set, visit)
  for _, service in ipairs(state.services) do
    for _, instance in ipairs(set[service.name] and service.instances or {}) do
      visit(instance)
    end
  end
end

--- Calls visit(group) for each discovered group that the service `name` depends on.
local function each_group(state, name, visit)
  for _, service in ipairs(state.services) do
    for _, group in ipairs(service.name == name and service.groups or {}) do visit(group) end
  end
end

--- Done when all are there; a service that failed will not get there by waiting. `waiter` is the
-- service whose discovered groups are waited for, if any.
local function predicate(set, goal, waiter)
  return function(state)
    local all, failed = true, false
    each_group(state, waiter, function(group) all = all and group.met end)
    each(state, set, function(instance)
      all = all and REACHED[goal](instance)
      failed = failed or (goal ~= "stopped" and instance.state == "failed")
    end)
    return all or failed
  end
end

local function laggards(state, set, goal, waiter)
  local list = {}
  each_group(state, waiter, function(group) list[#list + 1] = group.reason end)
  each(state, set, function(instance)
    if not REACHED[goal](instance) then
      local reason = present.reason(instance)
      list[#list + 1] = ("%s is %s, health %s%s"):format(instance.id, instance.state,
        instance.health, reason ~= "" and " (" .. reason .. ")" or "")
    end
  end)
  return table.concat(list, "; ")
end

--- The required dependencies of a service, which must be healthy before it may start.
local function dependencies(stack, name)
  local set = {}
  for dependency, wanted in pairs(stack.services[name].dependencies or {}) do
    local waited_for = wanted.type == "required" or wanted.type == "circular"
    if waited_for and not wanted.discover then set[dependency] = true end
  end
  return set
end

local function finish(ctx, state, set, goal, waiter)
  local late = laggards(state, set, goal, waiter)
  if late == "" then return session.OK end
  ui.note("orrery: %s; see why with: %s", late, session.paste(ctx, "logs"))
  return session.UNHEALTHY
end

local function wait(ctx, client, set, goal, waiter)
  local timeout = ctx.options.timeout
  local state, message, code, last = follow.wait(client, predicate(set, goal, waiter),
    {timeout = timeout})
  if state then return finish(ctx, state, set, goal, waiter) end
  if code == "closed" and goal == "stopped" then return session.OK end
  if code ~= "timeout" then session.fail(session.UNREACHABLE, "the agent ended: %s", message) end
  session.fail(session.TIMED_OUT, "not %s within %s: %s", goal, ui.duration(timeout),
    laggards(last, set, goal, waiter))
end

return {
  name = "wait",
  group = "look",
  summary = "wait until a service, or what it depends on, is healthy",
  arguments = "SERVICE",
  options = {
    {name = "for", value = "STATE", choices = {"healthy", "running", "stopped"},
      default = "healthy", summary = "what to wait for"},
    {name = "timeout", short = "t", value = "SECONDS", type = "number", default = 60,
      summary = "give up after this long"},
    {name = "deps", summary = "wait for the required dependencies of SERVICE, not for itself"},
  },
  details = "Ends early when the service failed for good, for waiting would not help. Without an "
    .. "agent every service is stopped.",
  exits = {"0    it is so", "1    the service failed", "2    wrong usage",
    "3    the stack is invalid", "4    no agent is running", "124  not within --timeout"},
  example = "orrery -f simple-pds wait pds --timeout 120",
  run = function(ctx)
    local stack = session.stack(ctx)
    session.services(ctx, stack)
    local goal = ctx.options["for"]
    if goal == "stopped" and not session.try_client(stack) then return session.OK end
    local client = session.client(ctx, stack)
    local name = ctx.args[1]
    if not ctx.options.deps then return wait(ctx, client, {[name] = true}, goal) end
    return wait(ctx, client, dependencies(stack, name), goal, name)
  end,
}
