local change = require "orrery.cli.change"
local core = require "orrery.core"
local diff = require "orrery.diff"
local follow = require "orrery.cli.follow"
local present = require "orrery.cli.present"
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

local AS_IT_WAS = { held = true, failed = true, pending = true }

--- What happened to files: {instance, path, to, reason} each, and whether one stays as it was.
local function file_events(client, answer)
  local list, stays = core.json.array({}), {}
  local source = client:events({since = answer.seq})
  local event = source and source:next()
  while event do
    if event.type == "file" then
      list[#list + 1] = event
      stays[event.instance .. (event.message or "")] = AS_IT_WAS[event.to]
    end
    event = source:next()
  end
  if source then source:close() end
  return list, next(stays) ~= nil
end

--- The services that something was done to.
local function concerned(answer, events)
  local set = follow.set(answer.services)
  for _, event in ipairs(events) do set[event.service] = true end
  return set
end

local function tell(ctx, stack, answer, state, events)
  local set = concerned(answer, events)
  if not next(set) then return ui.out("nothing differs") end
  if answer.changes.empty then ui.out("the stack is the same; its files:") end
  for _, event in ipairs(events) do ui.out("%s", present.event(event)) end
  report.print_table(state, set)
  report.trouble(ctx, stack, state, set)
end

return {
  name = "reload",
  group = "run",
  summary = "read the stack file again, and change only what differs",
  options = change.options,
  details = "The agent loads the stack as it was started with it. Services that are gone are "
    .. "stopped, new ones started, changed ones restarted in dependency order; where only checks "
    .. "or files have changed nothing is restarted. Files that were held back or taken back are "
    .. "tried again, without `maxDrop`. If the stack is invalid nothing changes. "
    .. "`orrery plan` shows the difference beforehand; SIGHUP to the agent does the same.",
  exits = {"0    done, or nothing differs",
    "1    some service is unhealthy or failed, or a file stays as it was", "2    wrong usage",
    "3    the stack is invalid (nothing was touched)", "4    no agent is running",
    "124  not done within --timeout"},
  example = "orrery -f simple-pds reload",
  run = function(ctx)
    local stack, problems = session.checked(ctx)
    if not stack then session.refuse(ctx, problems) end
    local client = session.client(ctx, stack)
    local answer = ask(client)
    if not ctx.options.json then
      for _, line in ipairs(diff.lines(answer.changes)) do ui.out("%s", line) end
    end
    local set = follow.set(answer.services) -- one that was removed is no longer there
    for _, name in ipairs(answer.files) do set[name] = true end
    local state = follow.rest(ctx, client, set, { timeout = ctx.options.timeout,
      since = answer.seq, hides = "file" }) -- tell() has those
    local events, stays = file_events(client, answer)
    if ctx.options.json then
      present.json({changes = answer.changes, files = events, state = state})
    else
      tell(ctx, stack, answer, state, events)
    end
    return stays and session.UNHEALTHY or report.code(state, concerned(answer, events))
  end,
}
