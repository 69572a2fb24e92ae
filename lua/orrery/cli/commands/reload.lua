local change = require "orrery.cli.change"
local diff = require "orrery.diff"
local follow = require "orrery.cli.follow"
local report = require "orrery.cli.report"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"
local view = require "orrery.cli.view"

local function ask(client)
  local answer, message, code = client:post("reload")
  if answer then return answer end
  local exit = code == "invalid" and session.INVALID
    or code == "closed" and session.UNHEALTHY or session.UNREACHABLE
  session.fail(exit, "nothing has changed: %s", message)
end

--- Waits until what was changed is at rest; a service that was removed is no longer there.
local function settle(ctx, client, answer)
  local set = follow.set(answer.services)
  local progress = follow.progress(set)
  local state, problem, reason = follow.wait(client, follow.settled(set),
    {timeout = ctx.options.timeout, on_event = progress.on_event, on_beat = progress.on_beat})
  ui.progress_end(progress.show)
  if state then return state, set end
  if reason == "timeout" then
    session.fail(session.TIMED_OUT, "not done within %s; it goes on: look with: %s",
      ui.duration(ctx.options.timeout), session.paste(ctx, "status"))
  end
  session.fail(session.UNREACHABLE, "the agent ended meanwhile: %s", problem)
end

return {
  name = "reload",
  group = "run",
  summary = "read the stack file again, and change only what differs",
  options = change.options,
  details = "The agent loads the stack as it was started with it. Services that are gone are "
    .. "stopped, new ones started, changed ones restarted in dependency order; where only checks "
    .. "or files have changed nothing is restarted. If the stack is invalid nothing changes. "
    .. "`orrery plan` shows the difference beforehand; SIGHUP to the agent does the same.",
  exits = {"0    done, or nothing differs", "1    some service is unhealthy or failed",
    "2    wrong usage", "3    the stack is invalid (nothing was touched)",
    "4    no agent is running", "124  not done within --timeout"},
  example = "orrery -f simple-pds reload",
  run = function(ctx)
    local stack, problems = view.checked(ctx)
    if not stack then session.refuse(ctx, problems) end
    local client = session.client(ctx, stack)
    local answer = ask(client)
    if not ctx.options.json then
      for _, line in ipairs(diff.lines(answer.changes)) do ui.out("%s", line) end
      if answer.changes.empty then ui.out("nothing differs") end
    end
    local state, set = settle(ctx, client, answer)
    if ctx.options.json then
      ui.json({changes = answer.changes, state = state})
    elseif not answer.changes.empty then
      report.print_table(state, set)
      report.trouble(ctx, stack, state, set)
    end
    return report.code(state, set)
  end,
}
