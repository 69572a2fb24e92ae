--- report -- how `up`, `start` and `restart` end: the table, what is wrong, what to do next.
local core = require "orrery.core"
local logfile = require "orrery.cli.logfile"
local present = require "orrery.cli.present"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local M = {}

local LAST_LINES = 5

--- Prints why each service that is not as it should be is not, with the end of its log.
function M.trouble(ctx, stack, state, only)
  local began = core.time.format(state.agent.startedAt) -- what an earlier agent's run wrote is old
  for _, item in ipairs(present.troubled(state, only)) do
    local instance = item.instance
    local reason = present.reason(instance)
    ui.note("%s is %s%s", item.service.name, instance.state,
      reason ~= "" and ": " .. ui.clean(reason) or "")
    for _, line in ipairs(logfile.last(stack, instance.id, LAST_LINES)) do
      if line.at >= began then ui.note("    %s", ui.clean(line.text)) end
    end
    if not item.service.external then
      ui.note("    more: %s", session.paste(ctx, "logs", item.service.name))
    end
  end
end

function M.print_table(state, only)
  ui.write(table.concat(present.table(state, only), "\n") .. "\n")
end

--- The exit code that a state stands for.
function M.code(state, only)
  return #present.troubled(state, only) == 0 and session.OK or session.UNHEALTHY
end

local function pds_url(state)
  for _, service in ipairs(state.services) do
    if service.type == "pds" and service.url then return service.url end
  end
end

--- The lines a person needs after `up`; `stop` says how it is stopped.
function M.next_lines(ctx, state, stop)
  local url = pds_url(state)
  ui.out("")
  if url then ui.out("The PDS:      %s", url) end
  ui.out("Look:         %s", session.paste(ctx, "status"))
  ui.out("Follow logs:  %s", session.paste(ctx, "logs", "-f"))
  ui.out("Stop:         %s", stop)
end

return M
