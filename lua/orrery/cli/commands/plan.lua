local diff = require "orrery.diff"
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

--- How the stack differs from what its agent runs; nil without an agent.
local function changes_of(stack)
  local client = session.try_client(stack)
  local changes = client and client:changes()
  return changes or nil
end

local function report_changes(changes)
  if not changes then return end
  if changes.empty then return ui.out("an agent runs this stack, and nothing differs\n") end
  ui.out("what `orrery reload` would change now:")
  for _, line in ipairs(diff.lines(changes)) do ui.out("  %s", line) end
  ui.out("")
end

local function report_json(stack, plan, changes)
  local waves = {}
  for i, wave in ipairs(plan.waves) do waves[i] = ui.list(wave) end
  ui.json({
    stack = stack.name, waves = ui.list(waves), order = ui.list(plan.order),
    stop = ui.list(plan.stop), changes = changes, services = services_json(plan),
  })
end

return {
  name = "plan",
  group = "prepare",
  summary = "show what would be started, in which order, and what waits for what",
  arguments = "[SERVICE...]",
  options = {{name = "json", summary = "print JSON"}},
  details = "Shows the waves in which the services (or only those named, with what they need) "
    .. "would be started; before that, if an agent runs the stack, what a reload would change. "
    .. "Nothing is started.",
  exits = {"0    there is a plan", "2    wrong usage", "3    the stack is invalid"},
  example = "orrery -f simple-pds plan",
  run = function(ctx)
    local stack = session.stack(ctx)
    session.services(ctx, stack)
    local plan = session.plan(ctx, stack, #ctx.args > 0 and ctx.args or nil)
    local changes = changes_of(stack)
    if ctx.options.json then return report_json(stack, plan, changes) end
    report_changes(changes)
    ui.write((plan.text:gsub("\n*$", "\n")))
  end,
}
