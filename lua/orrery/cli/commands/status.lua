local follow = require "orrery.cli.follow"
local present = require "orrery.cli.present"
local report = require "orrery.cli.report"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local HOME_AND_CLEAR = "\27[H\27[J"

local function show(ctx, state, only, screen)
  if ctx.options.json then return screen and present.json_line(state) or present.json(state) end
  local text = table.concat(present.table(state, only), "\n") .. "\n"
  ui.write(screen and ui.is_terminal(1) and HOME_AND_CLEAR .. text or text)
end

--- Shows the state again at each event until the agent ends.
local function watch(ctx, client, only)
  local last
  local _, message = follow.wait(client, function(state)
    if not last or state.seq ~= last.seq then show(ctx, state, only, true) end
    last = state
    return false
  end, {})
  if last and last.agent.stopping then return session.OK end
  session.fail(session.UNREACHABLE, "%s", message)
end

return {
  name = "status",
  group = "look",
  summary = "show the services: state, health, port, process, and what is wrong",
  arguments = "[SERVICE...]",
  options = {
    {name = "watch", short = "w", summary = "show it again at every change, until the agent ends"},
    {name = "json", summary = "print JSON (all services; one object a line with --watch)"},
  },
  exits = {"0    every service is as it should be", "1    some service is not",
    "2    wrong usage", "3    the stack is invalid", "4    no agent is running"},
  example = "orrery -f simple-pds status --watch",
  run = function(ctx)
    local stack = session.stack(ctx)
    session.services(ctx, stack)
    local only = #ctx.args > 0 and follow.set(ctx.args) or nil
    local client = session.client(ctx, stack)
    if ctx.options.watch then return watch(ctx, client, only) end
    local state, message = client:state()
    if not state then session.fail(session.UNREACHABLE, "%s", message) end
    show(ctx, state, only)
    return report.code(state, only)
  end,
}
