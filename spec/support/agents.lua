--- agents -- real agents over stacks of small shell programs, for specs of what they survive.
local core = require "orrery.core"
local support = require "support"

local M = {}

local Agent = {}
Agent.__index = Agent

--- Writes a stack of `services` (the text of a Lua table) into a folder of its own. In it, DIR is
--- that folder; everything runs as the user of the test. `more` is further keys of the stack.
function M.stack(services, more)
  local dir = support.tmp()
  local text = ("return { name = 'spec', stateDir = 'DIR/state', " .. (more or "")
    .. " services = {" .. services .. "} }"):gsub("DIR", dir)
  support.write(dir .. "/stack.lua", text)
  return dir
end

--- One service that runs `script` in a shell; `more` is further fields, as text.
function M.service(name, script, more)
  local user = core.process.user().name
  return ("%s = { exec = { 'sh', '-c', %q }, user = %q, cwd = 'DIR', %s },\n"):format(name, script,
    user, more or "")
end

function Agent:orrery(...)
  local arguments = { "-f", self.dir, ... }
  arguments.timeout = 120
  return support.orrery(arguments)
end

--- The instances by service name, and the whole state; nil while the agent does not answer.
function Agent:state()
  local code, out = self:orrery("status", "--json")
  if code > 1 then return nil end
  local state, by_name = core.json.decode(out), {}
  for _, service in ipairs(state.services) do by_name[service.name] = service.instances[1] end
  return by_name, state
end

--- Waits until predicate(instances) holds; returns the instances and the state.
function Agent:reach(predicate, what)
  local instances, state
  support.wait_until(function()
    instances, state = self:state()
    return instances and predicate(instances, state)
  end, 20, what)
  return instances, state
end

function Agent:post(verb, body)
  return assert(core.http.request({ method = "POST", url = "http://agent/v1/" .. verb, body = body,
    unixSocket = self.dir .. "/state/run/api.sock" }))
end

function Agent:text(name)
  local path = self.dir .. "/" .. name
  return support.exists(path) and support.read(path) or ""
end

--- The numbers in a file that the services write, once there are `count`.
function Agent:pids(name, count)
  local list
  support.wait_until(function()
    list = {}
    for pid in self:text(name):gmatch("(%d+)\n") do list[#list + 1] = tonumber(pid) end
    return #list >= count
  end, 20, ("%d pids in %s"):format(count, name))
  return list
end

function Agent:signal(name, pid)
  support.run { "kill", "-" .. name, tostring(pid or self.process.pid) }
end

--- Ends it; the status of its process.
function Agent:down()
  self.process:signal("TERM")
  return self.process:wait(60)
end

--- An agent over the folder `dir` that something else started.
function M.handle(dir) return setmetatable({ dir = dir }, Agent) end

--- Runs `orrery up` over the folder `dir`, in the foreground; `env` is added to its environment.
function M.up(dir, env)
  local agent = setmetatable({ dir = dir, log = dir .. "/up.log" }, Agent)
  agent.process = assert(core.process.spawn { argv = { support.binary(), "-f", dir, "up" },
    env = support.env(env), cwd = dir, instance = "spec/up", log = { path = agent.log } })
  return agent
end

--- Runs `orrery up -d` over the folder `dir`.
function M.detached(dir)
  local agent = setmetatable({ dir = dir }, Agent)
  local code, out, err = agent:orrery("up", "-d")
  assert(code == 0, out .. err)
  return agent
end

--- Runs `body(agent)` over a stack of `services`, and ends the agent whatever happens.
function M.with(services, body, more, env)
  return M.over(M.stack(services, more), body, env)
end

--- The same over the folder `dir`, which has a stack.
function M.over(dir, body, env)
  local agent = M.up(dir, env)
  local ok, problem = xpcall(body, debug.traceback, agent)
  local status = agent:down()
  if not status then agent.process:kill() end
  if not ok then
    error(("%s\nthe agent wrote:\n%s"):format(problem, agent:text("up.log")), 0)
  end
  return status
end

return M
