local foreground = require "orrery.cli.foreground"
local background = require "orrery.cli.background"
local follow = require "orrery.cli.follow"
local present = require "orrery.cli.present"
local report = require "orrery.cli.report"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

--- An agent runs already: it is told what to start, and the result is the same as with -d.
local function join(ctx, stack, client)
  local state = client:state()
  ui.note("an agent already runs stack '%s' (pid %s); asking it to start %s", stack.name,
    state and state.agent.pid or "?",
    #ctx.args > 0 and table.concat(ctx.args, ", ") or "every service")
  local final, set = follow.command(ctx, client, "up", ctx.args, ctx.options.timeout)
  if ctx.options.json then
    present.json(final)
  else
    report.print_table(final, set)
    report.trouble(ctx, stack, final, set)
    report.next_lines(ctx, final, session.paste(ctx, "down"))
  end
  return report.code(final, set)
end

--- The stack if nothing is wrong with it. Who starts an agent has just looked at the templates.
local function stack_of(ctx)
  if ctx.options.agent then return session.stack(ctx) end
  local stack, problems = session.checked(ctx)
  return stack or session.refuse(ctx, problems)
end

-- The agent lives long, and where garbage lay between what it keeps, there are holes: it is
-- collected early, and each collection ends soon.
local PAUSE, STEP = 120, 400 -- percent

return {
  name = "up",
  group = "run",
  summary = "start the stack in dependency order, and keep it healthy",
  arguments = "[SERVICE...]",
  options = {
    {name = "detach", short = "d", summary = "leave it running; return once it has settled"},
    {name = "timeout", short = "t", value = "SECONDS", type = "number", default = 1800,
      summary = "with -d: stop waiting after this long"},
    {name = "json", summary = "with -d: print the state as JSON"},
    {name = "agent", summary = "be the agent, or fail if there is one: for a service manager"},
  },
  details = "Without SERVICE everything is started; otherwise those named, with what they need. "
    .. "Ctrl-C stops everything in reverse order. If an agent already runs the stack, it is asked "
    .. "to start what is missing.",
  exits = {"0    everything is healthy (in the foreground: was stopped as asked)",
    "1    something is unhealthy, failed or blocked", "2    wrong usage",
    "3    the stack is invalid (nothing was touched)",
    "4    the agent or a backend could not be reached", "124  with -d: not settled in time"},
  example = "orrery -f simple-pds up -d",
  run = function(ctx)
    collectgarbage("incremental", PAUSE, STEP)
    local stack = stack_of(ctx)
    session.services(ctx, stack)
    if ctx.options.agent then return foreground.agent(ctx, stack) end
    local client = session.try_client(stack)
    if client then return join(ctx, stack, client) end
    if ctx.options.detach then return background.up(ctx, stack) end
    return foreground.up(ctx, stack)
  end,
}
