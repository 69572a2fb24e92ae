--- foreground -- `up` as the agent itself, with progress for the person who watches.
local core = require "orrery.core"
local follow = require "orrery.cli.follow"
local present = require "orrery.cli.present"
local report = require "orrery.cli.report"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local M = {}

local PATIENCE = 0.2 -- seconds that a terminal may hold up the agent, which writes to it itself

--- Ends as agent.run() ended: with a message unless all is well.
local function finish(code, message)
  if type(message) == "table" then message = require("orrery.stack").format(message) end
  if message then session.fail(code, "%s", message) end
  return code
end

--- Reads the stack again, as it was given and from where it was, for a reload.
local function loader(ctx)
  return function() return session.checked(ctx) end
end

--- The agent without a person: what `up -d` leaves running, whose stderr is agent.log; or that of a
-- service manager, whose journal gets the events.
function M.agent(ctx, stack)
  ui.be_impatient(PATIENCE)
  local options = {services = ctx.args, load = loader(ctx)}
  if core.process.env("NOTIFY_SOCKET") then
    options.on_event = function(event) ui.note("%s", present.event(event)) end
  end
  return finish(require("orrery.agent").run(stack, options))
end

--- Waits until everything is where it will stay, and says how it stands.
local function announce(ctx, stack, p)
  local client, message = session.try_client(stack)
  if not client then return ui.progress_line(p, message) end
  local progress = follow.progress(nil, p)
  local state = follow.wait(client, follow.settled(), {on_beat = progress.on_beat})
  ui.progress_end(progress.show)
  if not state or state.agent.stopping then return end
  ui.out("")
  report.print_table(state)
  report.trouble(ctx, stack, state)
  report.next_lines(ctx, state, "Ctrl-C, or " .. session.paste(ctx, "down"))
end

local SIGNAL_TEXT = {
  down = "stopping everything in reverse order (once more: kill at once)",
  kill = "killing what is left",
}

function M.up(ctx, stack)
  ui.be_impatient(PATIENCE)
  local p = ui.progress()
  local function say(text) ui.progress_line(p, text) end
  say(("starting stack '%s'"):format(stack.name))
  local announcing
  local code, message = require("orrery.agent").run(stack, {
    services = ctx.args,
    load = loader(ctx),
    progress = say,
    on_event = function(event) say(present.event(event)) end,
    on_open = function() announcing = core.task.spawn(announce, ctx, stack, p) end,
    on_signal = function(_, verb)
      ui.progress_key(p)
      say(SIGNAL_TEXT[verb] or verb)
    end,
  })
  if announcing then announcing:cancel() end
  if not message then say(("stack '%s' is down"):format(stack.name)) end
  return finish(code, message)
end

return M
