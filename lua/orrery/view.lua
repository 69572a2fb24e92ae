--- view -- a stack as those who only look see it: where each instance is, what its strings are
-- rendered with, and what is wrong with it, without being its agent.
local core = require "orrery.core"
local outputs = require "orrery.supervisor.outputs"
local replicas = require "orrery.replicas"

local M = {}

local BREATHER = 50 -- services

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

local function instance(service, copy, id, known)
  local found = known[id] or {}
  local port = found.port or replicas.port(service, copy)
  return {id = id, service = service, address = service.address, url = found.url,
    port = port ~= "auto" and port or nil, health = found.health or "unknown", did = service.did,
    dirs = replicas.dirs(service, copy)}
end

local function assemble(stack, known)
  local by_service = {}
  for name, service in pairs(stack.services) do
    by_service[name] = {}
    local published = service.oneshot and outputs.load(stack, name) or nil
    for i, id in ipairs(service.instances) do
      by_service[name][i] = instance(service, i, id, known)
      by_service[name][i].outputs = published
    end
  end
  return {by_service = by_service}
end

--- What discovery knows of services of other stacks. It is opened when one is named.
local function discovery_of(stack)
  local lazy = {}
  function lazy.known(_, name)
    local discovery <close> = require("orrery.discovery").open(stack)
    return discovery and discovery:known(name)
  end
  return lazy
end

--- {by_service = {pds = {instances}}}, by the agent if one runs.
function M.of(stack)
  local client = require("orrery.client").connect(stack)
  local state = client and client:state()
  local view = assemble(stack, state and from_agent(state) or from_state_folder(stack))
  view.discovery = discovery_of(stack)
  return view
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
  return require("orrery.context").of(stack, view, i, view.discovery, secrets)
end

--- A template's error starts with its place, which is shown anyway.
local function without_place(problem)
  local message = problem.message
  for _, place in ipairs({problem.path or "", problem.file or ""}) do
    if place ~= "" and message:sub(1, #place + 1) == place .. ":" then
      message = message:sub(#place + 2):gsub("^%d+:%d+:? ?", "")
    end
  end
  local in_file = problem.file ~= problem.path
  return {path = problem.path, message = message, file = in_file and problem.file or nil,
    line = in_file and problem.line or nil}
end

--- Problems of templates as they are shown.
function M.tidy(problems)
  local list = {}
  for i, problem in ipairs(problems) do list[i] = without_place(problem) end
  return list
end

local function add_problems(list, seen, problems)
  for _, problem in ipairs(problems or {}) do
    local key = (problem.path or "") .. "\0" .. problem.message
    if not problem.pending and not seen[key] then
      seen[key] = true
      list[#list + 1] = without_place(problem)
    end
  end
end

--- What is wrong with the templates of a stack: an undeclared name, a text that is not of its
-- format. What is only not known yet is no problem.
function M.template_problems(stack)
  local render, view, list, seen = require "orrery.render", assemble(stack, {}), {}, {}
  for n, name in ipairs(require("orrery.suggest").names(stack.services)) do
    if n % BREATHER == 0 then core.time.sleep(0) end -- a stack of thousands is no runaway
    local context = M.context(stack, view, view.by_service[name][1], M.hidden_secrets())
    add_problems(list, seen, select(2, render.service(stack, name, context)))
    if not stack.services[name].external then
      add_problems(list, seen, select(2, render.files(stack, name, context)))
    end
  end
  return list
end

--- All that is wrong with a stack that loads: its graph, else its templates. Empty if nothing is.
function M.problems(stack)
  local _, problems = require("orrery.plan").build(stack)
  return problems or M.template_problems(stack)
end

--- One line about problems of rendering.
function M.problems_text(problems)
  if type(problems) ~= "table" then return tostring(problems) end
  return require("orrery.problem").line(problems.message and {problems} or problems)
end

return M
