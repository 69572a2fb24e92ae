local checking = require "orrery.cli.checking"
local checks_of = require "orrery.checks"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

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
    local checks = checks_of.collect(stack, session.services(ctx, stack))
    if ctx.options.watch and #checks > 0 then return checking.watch(checks, ctx.options) end
    checks_of.run_all(checks)
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
