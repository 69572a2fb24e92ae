--- checks -- every health check of a stack's services, run once, whether or not an agent runs.
local core = require "orrery.core"
local luacheck = require "orrery.luacheck"
local suggest = require "orrery.suggest"
local view = require "orrery.view"

local M = {}

--- The checks of one instance: {service, instance, name, role, spec}. Where the specs cannot be
-- rendered, the problem is their result.
local function checks_of(stack, seen, i, secrets)
  local list = {}
  local context = view.context(stack, seen, i, secrets)
  local rendered, problems = require("orrery.render").service(stack, i.service.name, context)
  local specs = rendered and rendered.healthChecks or i.service.healthChecks
  for _, name in ipairs(suggest.names(specs or {})) do
    local spec = {}
    for key, value in pairs(specs[name]) do spec[key] = value end
    spec.role = nil
    list[#list + 1] = {
      service = i.service.name, instance = i.id, name = name, role = specs[name].role or "ready",
      about = i,
      spec = rendered and spec, result = not rendered and {ok = false,
        message = "cannot be rendered: " .. view.problems_text(problems)} or nil,
    }
  end
  return list
end

local function run(check)
  local ok, result
  if luacheck.is(check.spec) then
    ok, result = pcall(luacheck.run, check.spec, check.about)
  else
    ok, result = pcall(core.check.run, check.spec)
  end
  if not ok then result = {ok = false, message = tostring(result)} end
  check.result = result
end

--- Runs all at once; each has its own deadline, and gets its `result`. Returns them. Waits.
function M.run_all(checks)
  local tasks = {}
  for _, check in ipairs(checks) do
    if check.spec then tasks[#tasks + 1] = core.task.spawn(run, check) end
  end
  for _, task in ipairs(tasks) do task:join() end
  return checks
end

--- The checks of the services named: a list of {service, instance, name, role, spec, about}.
function M.collect(stack, names)
  local seen, secrets, checks = view.of(stack), view.known_secrets(stack), {}
  for _, name in ipairs(names) do
    for _, i in ipairs(seen.by_service[name]) do
      local list = checks_of(stack, seen, i, secrets)
      table.move(list, 1, #list, #checks + 1, checks)
    end
  end
  return checks
end

return M
