local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local function services_json(plan)
  local list = {}
  for _, name in ipairs(plan.order) do
    local service = plan.services[name]
    list[#list + 1] = {name = name, wave = service.wave, waits = ui.list(service.waits)}
  end
  return ui.list(list)
end

local function report_json(stack, plan)
  local waves = {}
  for i, wave in ipairs(plan.waves) do waves[i] = ui.list(wave) end
  ui.json({
    stack = stack.name, waves = ui.list(waves), order = ui.list(plan.order),
    stop = ui.list(plan.stop), services = services_json(plan),
  })
end

return {
  name = "plan",
  group = "prepare",
  summary = "show what would be started, in which order, and what waits for what",
  arguments = "[SERVICE...]",
  options = {{name = "json", summary = "print JSON"}},
  details = "Shows the waves in which the services (or only those named, with what they need) "
    .. "would be started. Nothing is started.",
  exits = {"0    there is a plan", "2    wrong usage", "3    the stack is invalid"},
  example = "orrery -f simple-pds plan",
  run = function(ctx)
    local stack = session.stack(ctx)
    session.services(ctx, stack)
    local plan = session.plan(ctx, stack, #ctx.args > 0 and ctx.args or nil)
    if ctx.options.json then return report_json(stack, plan) end
    ui.write((plan.text:gsub("\n*$", "\n")))
  end,
}
