local core = require "orrery.core"
local follow = require "orrery.cli.follow"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

--- Until the agent's API closes: its last act but deregistering.
local function watch_end(client, seq, timeout)
  local progress = follow.progress()
  local _, message, code = follow.wait(client, function() return false end,
    {timeout = timeout, since = seq, on_event = progress.on_event, on_beat = progress.on_beat})
  ui.progress_end(progress.show)
  return code, message
end

local function take_down(ctx, stack, client)
  local state, message = client:state()
  if not state then session.fail(session.UNREACHABLE, "%s", message) end
  local pid = state.agent.pid
  local stat = core.process.stat(pid)
  local answer
  answer, message = client:post("down", {})
  if not answer then session.fail(session.UNHEALTHY, "%s", message) end
  if watch_end(client, state.seq, ctx.options.timeout) == "timeout" then
    session.fail(session.TIMED_OUT, "stack '%s' is not down within %s; it goes on; look with: %s",
      stack.name, ui.duration(ctx.options.timeout), session.paste(ctx, "status"))
  end
  if not follow.gone(pid, stat and stat.startTime) then
    session.fail(session.TIMED_OUT, "the services of stack '%s' have stopped, but its agent "
      .. "(pid %d) has not ended", stack.name, pid)
  end
end

--- Without an agent there may still be what it left.
local function sweep(ctx, stack)
  local count, message = require("orrery.agent").sweep(stack,
    function(text) ui.note("%s", text) end)
  if not count and ctx.options.leftovers then count = 0 end
  if not count then
    session.fail(session.UNREACHABLE, "the agent of stack '%s' does not answer: it is starting or "
      .. "ending (%s); try again in a moment", stack.name, message)
  end
  ui.out(count > 0 and "stack '%s' is down" or "stack '%s' is not running", stack.name)
end

return {
  name = "down",
  group = "run",
  summary = "stop every service in reverse order, and the agent",
  options = {
    {name = "timeout", short = "t", value = "SECONDS", type = "number", default = 300,
      summary = "stop waiting for it after this long"},
    {name = "leftovers", summary = "end only what an agent left that was killed, no agent"},
  },
  exits = {"0    everything has stopped, or nothing was running", "2    wrong usage",
    "3    the stack is invalid", "4    the agent could not be reached",
    "124  not down within --timeout"},
  example = "orrery -f simple-pds down",
  run = function(ctx)
    local stack = session.stack(ctx)
    local client = not ctx.options.leftovers and session.try_client(stack)
    if not client then return sweep(ctx, stack) end
    take_down(ctx, stack, client)
    ui.out("stack '%s' is down", stack.name)
  end,
}
