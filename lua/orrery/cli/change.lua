--- change -- start, stop and restart: one command to the agent, and waiting until it is done.
local follow = require "orrery.cli.follow"
local present = require "orrery.cli.present"
local report = require "orrery.cli.report"
local session = require "orrery.cli.session"

local M = {}

M.options = {
  {name = "timeout", short = "t", value = "SECONDS", type = "number", default = 300,
    summary = "stop waiting for it after this long"},
  {name = "json", summary = "print the state afterwards as JSON"},
}

M.exits = {"0    done", "1    some service is unhealthy or failed", "2    wrong usage",
  "3    the stack is invalid", "4    no agent is running", "124  not done within --timeout"}

--- What was asked for, in the order of the arguments, and what came with it.
function M.run(ctx, verb)
  local stack = session.stack(ctx)
  local names = session.services(ctx, stack)
  local client = session.client(ctx, stack)
  local state, set = follow.command(ctx, client, verb, names, ctx.options.timeout)
  if ctx.options.json then
    present.json(state)
  else
    report.print_table(state, set)
    report.trouble(ctx, stack, state, set)
  end
  return report.code(state, set)
end

return M
