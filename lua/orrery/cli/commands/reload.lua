local change = require "orrery.cli.change"
local diff = require "orrery.diff"
local follow = require "orrery.cli.follow"
local report = require "orrery.cli.report"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local function ask(client)
  local answer, message, code = client:post("reload")
  if answer then return answer end
  local exit = code == "invalid" and session.INVALID
    or code == "closed" and session.UNHEALTHY or session.UNREACHABLE
  session.fail(exit, "nothing has changed: %s", message)
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
    local stack, problems = session.checked(ctx)
    if not stack then session.refuse(ctx, problems) end
    local client = session.client(ctx, stack)
    local answer = ask(client)
    if not ctx.options.json then
      for _, line in ipairs(diff.lines(answer.changes)) do ui.out("%s", line) end
      if answer.changes.empty then ui.out("nothing differs") end
    end
    local set = follow.set(answer.services) -- one that was removed is no longer there
    local state = follow.rest(ctx, client, set, { timeout = ctx.options.timeout })
    if ctx.options.json then
      ui.json({changes = answer.changes, state = state})
    elseif not answer.changes.empty then
      report.print_table(state, set)
      report.trouble(ctx, stack, state, set)
    end
    return report.code(state, set)
  end,
}
