--- notify -- tells who keeps the agent, such as systemd, how it stands: in words at each change,
-- and that it is ready once everything is where it will stay. Nothing where nobody asks.
local core = require "orrery.core"
local events = require "orrery.events"
local snapshot = require "orrery.snapshot"

local process, task = core.process, core.task

local M = {}

local PAUSE = 0.3  -- seconds; events come in groups, and one look answers for a group
local BEAT = 20    -- seconds after which we ask for more time to start or to stop
local MORE = 60    -- seconds that we ask for: who no longer runs gets them once
local LENGTH = 500 -- bytes of words

local function is_asked() return (process.env("NOTIFY_SOCKET") or "") ~= "" end

--- Asks for more time as long as it runs: only a hung agent is ended before it has done its work. A
-- task to cancel; nil where nobody asks.
function M.patience()
  if not is_asked() then return nil end
  return task.spawn(function()
    while true do
      process.notify(("EXTEND_TIMEOUT_USEC=%d"):format(MORE * 1000000))
      core.time.sleep(BEAT)
    end
  end)
end

local function about(service)
  local reason = service.reason or ""
  return ("%s is %s%s"):format(service.name, service.state, reason ~= "" and ": " .. reason or "")
end

--- How a state reads as a line: "3 services, all well", or which is not and why.
function M.words(state)
  local bad, waiting = {}, {}
  for _, service in ipairs(state.services) do
    for _, instance in ipairs(service.instances) do
      local list = not instance.settled and waiting or not instance.good and bad or nil
      if list and list[#list] ~= service then list[#list + 1] = service end
    end
  end
  local first = bad[1] or waiting[1]
  if state.agent.stopping then return "stopping" end
  if not first then return ("%d services, all well"):format(#state.services) end
  return ("%d of %d services not well yet: %s"):format(#bad + #waiting, #state.services,
    about(first)):gsub("%c", " "):sub(1, LENGTH)
end

local function tell(agent, told)
  local state = snapshot.take(agent.supervisor, agent)
  local lines = { "STATUS=" .. M.words(state) }
  if state.agent.stopping then
    lines[2] = "STOPPING=1"
  elseif state.settled or told.ready then
    lines[2], told.ready = "READY=1", true
  end
  local text = table.concat(lines, "\n")
  if text ~= told.text then process.notify(text) end
  told.text = text
end

--- Tells of every change until the events close. A task; nil where nobody asks.
function M.follow(agent)
  if not is_asked() then return nil end
  return task.spawn(function()
    local told = {}
    repeat
      local queue = events.follow(agent.log)
      tell(agent, told)
      local event = queue:pop()
      events.unfollow(agent.log, queue)
      if event and event.type ~= "agent" then core.time.sleep(PAUSE) end -- it may end at once
    until event == false
  end)
end

return M
