--- watching -- `orrery render --watch` of a stack: its files as they would be, at every change of
-- what they ask for.
local backend = require "orrery.cli.backend"
local changes = require "orrery.render.changes"
local core = require "orrery.core"
local rendering = require "orrery.cli.rendering"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"
local view = require "orrery.view"

local M = {}

local WAIT = { 0.1, 1 } -- seconds of quiet, and at most
local LOOK_AGAIN = 5 -- seconds after which an agent is looked for, while there is none

--- What happens in the agent of the stack is a change, too, from when it is there.
local function follow_agent(job, changed)
  if job.followed then return end
  local client, state = session.try_client(job.stack)
  local source = client and client:events({ since = state.seq, follow = true })
  if not source then return end
  job.followed = true
  core.task.spawn(function()
    while source:next() do changed.queue:push(true) end
    job.followed = false
    changed.queue:push(true)
  end)
end

--- The instances as they are now, and discovery. seen.uses gets what the files ask for.
local function look(stack, discovery, plan)
  local seen = view.of(stack)
  seen.uses, seen.discovery = {}, {}
  function seen.discovery.known(_, name)
    local records, message, code = discovery:known(name)
    if not records then
      seen.discovery.fail = function() backend.fail(plan, message, code) end
    end
    return records, message
  end
  return seen
end

--- Shows the files, or writes them below `out`; what is as it was the last time is passed over.
local function put(job, found)
  if job.out then return rendering.write_out(found, job.out, { only_changed = true }) end
  local text = rendering.text_of(found)
  if text ~= job.shown then ui.write(text) end
  job.shown = text
end

local function once(job, seen)
  put(job, rendering.collect(job.stack, seen, job.wanted, view.hidden_secrets()))
end

--- Says why it failed, unless that was said last; a fault of ours, or our end, goes on.
local function tell(job, ok, problem)
  if not ok and not (type(problem) == "table" and problem.exit) then error(problem, 0) end
  local message = not ok and problem.message or nil
  if message and message ~= job.told then ui.note("%s", message) end
  job.told = message
end

--- Renders at every change, until somebody ends it. `wanted` and `out` are as for a command that
-- does it once.
function M.run(ctx, stack, wanted, out)
  rendering.require_files(stack)
  local discovery, plan = backend.open(ctx)
  local job = { stack = stack, wanted = wanted, out = out }
  local changed = changes.new(discovery)
  while true do
    follow_agent(job, changed)
    local seen = look(stack, discovery, plan)
    tell(job, pcall(once, job, seen))
    changes.follow(changed, seen.uses)
    changes.next(changed, WAIT, not job.followed and LOOK_AGAIN or nil)
  end
end

return M
