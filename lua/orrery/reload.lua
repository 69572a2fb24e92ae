--- reload -- the agent reads its stack file again, and takes over what differs. Waits.
local core = require "orrery.core"
local diff_of = require "orrery.diff"
local events = require "orrery.events"
local package_of = require "orrery.package"
local plan_of = require "orrery.plan"
local ports = require "orrery.ports"
local problem_of = require "orrery.problem"
local supervisor = require "orrery.supervisor"
local supervisor_reload = require "orrery.supervisor.reload"

local M = {}

--- The stack as its file is now, its plan, and how it differs from the one that runs; or nil and
-- the problems.
function M.look(agent)
  local stack, problems = agent.load()
  if not stack then return nil, problems end
  stack.origin = nil -- as the agent does
  local plan
  plan, problems = plan_of.build(stack)
  if not plan then return nil, problems end
  return stack, plan, diff_of.of(agent.supervisor.stack, stack)
end

local function refuse(agent, message, code)
  events.add(agent.log, { type = "reload", to = "refused", reason = message })
  core.log.warn("the stack is not reloaded, and nothing changes: " .. message)
  return nil, message, code
end

local function install(stack, plan)
  for _, name in ipairs(plan.order) do
    local service = stack.services[name]
    local folder, err
    if not service.external then
      folder, err = package_of.ensure(stack, service, core.log.info)
    end
    if folder == nil and err then return nil, ("services.%s: %s"):format(name, err) end
  end
  return true
end

local function take_over(agent)
  local stack, plan, diff = M.look(agent)
  if not stack then return refuse(agent, problem_of.line(plan), "invalid") end
  if diff.refused then return refuse(agent, diff.refused, "invalid") end
  local ok, err = install(stack, plan)
  if not ok then return refuse(agent, err, "failed") end
  local change = supervisor_reload.prepare(agent.supervisor, stack, plan, diff)
  ok, err = ports.assign(change.list, stack.dirs.state)
  if not ok then return refuse(agent, err, "failed") end
  local names, message, code = supervisor.reload(agent.supervisor, change)
  if not names then return nil, message, code end
  return diff, { services = names, files = change.files, seq = change.seq }
end

--- Reads the stack again and does what differs. Returns the difference, and {services = the names
-- of those that it concerns, files = of those whose files are rendered again, seq = of the last
-- event before that}; or nil, message, code ("invalid": the file is wrong; nothing has changed).
function M.run(agent)
  if agent.reloading then return nil, "the stack is already being reloaded", "closed" end
  agent.reloading = true
  local results = table.pack(pcall(take_over, agent))
  agent.reloading = nil
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

return M
