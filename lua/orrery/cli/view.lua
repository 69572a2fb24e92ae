--- view -- a stack as commands that only look see it: where each instance is, and what its strings
-- are rendered with, without being its agent.
local core = require "orrery.core"
local session = require "orrery.cli.session"

local M = {}

--- Ports and urls by instance id, from the agent.
local function from_agent(state)
  local known = {}
  for _, service in ipairs(state.services) do
    for _, instance in ipairs(service.instances) do
      known[instance.id] = {port = instance.port, url = instance.url, health = instance.health}
    end
  end
  return known
end

--- The automatic ports that an earlier agent chose.
local function from_state_folder(stack)
  local text = core.file.read(stack.dirs.state .. "/ports.json")
  local known = {}
  for id, port in pairs(text and core.json.decode(text) or {}) do known[id] = {port = port} end
  return known
end

local function instance(service, id, known)
  local found = known[id] or {}
  local port = found.port
  if port == nil and service.port ~= "auto" then port = service.port end
  return {id = id, service = service, address = service.address, port = port, url = found.url,
    health = found.health or "unknown", did = service.did}
end

--- {by_service = {pds = {instances}}}, by the agent if one runs.
function M.of(stack)
  local client = session.try_client(stack)
  local state = client and client:state()
  local known = state and from_agent(state) or from_state_folder(stack)
  local by_service = {}
  for name, service in pairs(stack.services) do
    by_service[name] = {}
    for i, id in ipairs(service.instances) do
      by_service[name][i] = instance(service, id, known)
    end
  end
  return {by_service = by_service}
end

--- A secret is revealed only if it exists already: looking generates nothing.
function M.hidden_secrets()
  return {resolve = function() return "***" end}
end

function M.known_secrets(stack)
  local folder = stack.dirs.state .. "/secrets"
  if not core.file.stat(folder) then return M.hidden_secrets() end
  return require("orrery.secret").open(folder) or M.hidden_secrets()
end

--- The render context of one instance of the view.
function M.context(stack, view, i, secrets)
  return require("orrery.context").of(stack, view, i, view.backend, secrets)
end

--- The discovery backend of the stack.
function M.backend(stack)
  local options = {}
  for key, value in pairs(stack.discovery) do options[key] = value end
  options.filePath = options.filePath or stack.dirs.discovery
  local backend, message = core.discovery.open(stack.discovery.backend, options)
  if backend then return backend end
  session.fail(session.UNREACHABLE, "discovery.backend %s: %s", stack.discovery.backend, message)
end

--- One line about problems of rendering.
function M.problems_text(problems)
  if type(problems) ~= "table" then return tostring(problems) end
  if problems.message then return problems.message end
  local lines = {}
  for i, problem in ipairs(problems) do
    lines[i] = problem.path and problem.path .. ": " .. problem.message or problem.message
  end
  return table.concat(lines, "; ")
end

return M
