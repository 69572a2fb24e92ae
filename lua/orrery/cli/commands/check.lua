local checking = require "orrery.cli.checking"
local core = require "orrery.core"
local luacheck = require "orrery.luacheck"
local session = require "orrery.cli.session"
local suggest = require "orrery.suggest"
local ui = require "orrery.cli.ui"
local view = require "orrery.cli.view"

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

--- Runs all at once; each has its own deadline.
local function run_all(checks)
  local tasks = {}
  for _, check in ipairs(checks) do
    if check.spec then tasks[#tasks + 1] = core.task.spawn(run, check) end
  end
  for _, task in ipairs(tasks) do task:join() end
end

local function report_json(checks)
  local list = {}
  for i, check in ipairs(checks) do
    list[i] = {
      service = check.service, instance = check.instance, check = check.name, role = check.role,
      ok = check.result.ok, message = check.result.message, latency = check.result.latency,
    }
  end
  ui.json(ui.list(list))
end

local function report_table(checks)
  local rows = {}
  for i, check in ipairs(checks) do
    rows[i] = {check.instance, check.name, check.role, check.result.ok and "pass" or "FAIL",
      ui.duration(check.result.latency), check.result.message}
  end
  ui.print_table({"INSTANCE", "CHECK", "ROLE", "RESULT", "LATENCY", "MESSAGE"}, rows,
    function(_, cell)
      return cell == "FAIL" and "red" or cell == "pass" and "green" or nil
    end)
end

local function collect(stack, names)
  local seen, secrets, checks = view.of(stack), view.known_secrets(stack), {}
  for _, name in ipairs(names) do
    for _, i in ipairs(seen.by_service[name]) do
      local list = checks_of(stack, seen, i, secrets)
      table.move(list, 1, #list, #checks + 1, checks)
    end
  end
  return checks
end

return {
  name = "check",
  group = "look",
  summary = "run health checks, once or on and on",
  arguments = "[SERVICE...]",
  options = {
    {name = "watch", short = "w", summary = "run them at their intervals, until Ctrl-C"},
    {name = "json", summary = "print JSON; with --watch one object a line"},
  },
  details = "Runs every health check of the services once, whether or not an agent is running, and "
    .. "shows how each went. With --watch it goes on: a table that changes on a terminal, else a "
    .. "line for each change of health.",
  exits = {"0    all pass (with --watch: when it ended)", "1    some fail", "2    wrong usage",
    "3    the stack is invalid"},
  example = "orrery -f simple-pds check pds",
  run = function(ctx)
    local stack = session.stack(ctx)
    local checks = collect(stack, session.services(ctx, stack))
    if ctx.options.watch and #checks > 0 then return checking.watch(checks, ctx.options) end
    run_all(checks)
    local failed = 0
    for _, check in ipairs(checks) do failed = failed + (check.result.ok and 0 or 1) end
    if ctx.options.json then
      report_json(checks)
    elseif #checks == 0 then
      ui.note("there is no health check to run")
    else
      report_table(checks)
    end
    return failed == 0 and session.OK or session.UNHEALTHY
  end,
}
