--- plan -- the order in which a stack starts and stops, and what each service waits for. Pure.
local core = require "orrery.core"
local edges = require "orrery.edges"
local groups = require "orrery.supervisor.groups"
local suggest = require "orrery.suggest"

local M = {}

local function problem(path, message) return nil, { { path = path, message = message } } end

local function unknown(stack, name)
  local names = suggest.names(stack.services)
  return problem("services." .. name, ('there is no service "%s"%s (there is: %s)')
    :format(name, suggest.hint(name, names), table.concat(names, ", ")))
end

--- The part of the graph that `only` needs.
local function subset(spec, only)
  local names = assert(core.graph.needs(spec, only))
  local kept, result = {}, { nodes = names, edges = {} }
  for _, name in ipairs(names) do kept[name] = true end
  for _, edge in ipairs(spec.edges) do
    if kept[edge.from] and kept[edge.to] then result.edges[#result.edges + 1] = edge end
  end
  return result
end

local function until_text(stack, target)
  if target.oneshot then return "done" end
  local checked = stack.coordination.enableHealthChecks and target.readyWhen ~= "started"
  if checked and target.readyWhen ~= "check" then return "ready" end
  return checked and "healthy" or "running"
end

local WORDS = {
  required = "needs %s to be %s, for at most %s s, then counts as blocked",
  optional = "prefers %s to be %s, for at most %s s, then starts degraded",
  soft = "starts after %s, without waiting for it",
  circular = "starts with %s, and checks afterwards that it is %s",
}

local GROUP_WORDS = {
  required = "needs %s of %s in discovery, for at most %g s, then counts as blocked",
  optional = "prefers %s of %s in discovery, for at most %g s, then starts degraded",
  soft = "does not wait for %s of %s in discovery",
  circular = "checks after its start that discovery has %s of %s, within %g s",
}

--- The wait for a discovered group.
local function group_wait_of(service, name, dependency)
  local wanted = groups.wanted(dependency)
  local seconds = dependency.timeout or service.dependencyTimeout
  return { service = name, type = dependency.type, discover = true, min = dependency.min or 1,
    tag = dependency.tag, ["until"] = wanted, timeout = seconds, dropped = false,
    reason = GROUP_WORDS[dependency.type]:format(wanted, name, seconds) }
end

local function wait_of(stack, service, name, dependency, dropped)
  local what = until_text(stack, stack.services[name])
  local seconds = dependency.timeout or service.dependencyTimeout
  local text = WORDS[dependency.type]:format(name, what, ("%g"):format(seconds))
  if dropped then text = ("does not wait for %s: the two depend on each other"):format(name) end
  return { service = name, type = dependency.type, ["until"] = what, timeout = seconds,
    dropped = dropped, reason = text }
end

local function waits_of(stack, name, kept, dropped)
  local service, waits = stack.services[name], {}
  for _, target in ipairs(suggest.names(service.dependencies)) do
    local dependency = service.dependencies[target]
    if dependency.discover then
      waits[#waits + 1] = group_wait_of(service, target, dependency)
    elseif kept[target] then
      local gone = dropped[name .. "\0" .. target] or false
      waits[#waits + 1] = wait_of(stack, service, target, dependency, gone)
    end
  end
  return waits
end

local function text_of(plan)
  local lines = {}
  for i, wave in ipairs(plan.waves) do
    lines[#lines + 1] = ("wave %d"):format(i)
    for _, name in ipairs(wave) do
      lines[#lines + 1] = "  " .. name
      for _, wait in ipairs(plan.services[name].waits) do
        lines[#lines + 1] = "    " .. wait.reason
      end
    end
  end
  lines[#lines + 1] = "stops: " .. table.concat(plan.stop, ", ")
  return table.concat(lines, "\n")
end

local function described(stack, solved)
  local plan = { waves = solved.waves, order = solved.order, stop = solved.stop, services = {},
    dropped = solved.dropped }
  local dropped, kept = {}, {}
  for _, edge in ipairs(solved.dropped) do dropped[edge.from .. "\0" .. edge.to] = true end
  for _, name in ipairs(solved.order) do kept[name] = true end
  for wave, names in ipairs(solved.waves) do
    for _, name in ipairs(names) do
      plan.services[name] = { wave = wave, waits = waits_of(stack, name, kept, dropped) }
    end
  end
  plan.text = text_of(plan)
  return plan
end

--- The plan of a loaded stack. `options.only` is a list of services: they and all they need.
-- Returns {waves, order, stop, dropped, services = {name = {wave, waits}}, text} | nil, problems.
function M.build(stack, options)
  local only = options and options.only
  local spec = edges.spec(stack)
  if only and #only > 0 then
    for _, name in ipairs(only) do
      if not stack.services[name] then return unknown(stack, name) end
    end
    spec = subset(spec, only)
  end
  local solved, message = core.graph.solve(spec)
  if not solved then return problem("services", message) end
  return described(stack, solved)
end

return M
