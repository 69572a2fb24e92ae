local core = require "orrery.core"
local present = require "orrery.cli.present"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local function show(ctx, event)
  if ctx.options.json then return present.json_line(event) end
  ui.out("%s %5d  %s", ui.paint("dim", core.time.format(event.at)), event.seq, present.event(event))
end

--- An agent that was told to stop ends the stream with itself: that is no failure.
local function show_all(ctx, source)
  local stopping = false
  while true do
    local event, message, code = source:next(3600)
    if event then
      show(ctx, event)
      stopping = stopping or (event.type == "agent" and event.to == "stopping")
    elseif code ~= "timeout" then
      source:close()
      if code == "closed" or stopping then return session.OK end
      session.fail(session.UNREACHABLE, "%s", message)
    end
  end
end

return {
  name = "events",
  group = "look",
  summary = "show what happened, in order, with reasons",
  options = {
    {name = "follow", short = "f", summary = "go on with every new event, until the agent ends"},
    {name = "since", value = "NUMBER", type = "integer", default = 0,
      summary = "only events after the one of this number"},
    {name = "json", summary = "print one JSON object a line"},
  },
  exits = {"0    shown", "1    the events asked for are gone", "2    wrong usage",
    "3    the stack is invalid", "4    no agent is running"},
  example = "orrery -f simple-pds events -f",
  run = function(ctx)
    local client = session.client(ctx, session.stack(ctx))
    local source, message = client:events({since = ctx.options.since, follow = ctx.options.follow})
    if not source then session.fail(session.UNHEALTHY, "%s", message) end
    return show_all(ctx, source)
  end,
}
