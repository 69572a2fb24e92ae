--- alone -- a stack of nothing but files: what renders templates where there is no stack.
--
-- The files are those of one made-up service, so that all that is true of a stack's files is true
-- of them. Its templates know variables, and every service that lookup() finds; they have no
-- service of their own, so `port` and `hostname` are variables like others.
local core = require "orrery.core"
local guard = require "orrery.render.guard"
local render = require "orrery.render"

local M = {}

local TAKE_OVER = "a new start takes it over as it is"

M.NAME = "(template)" -- no service that is discovered can have this name

--- A stack: `files` is as `config` of a service. options: settings, variables (declarations), node,
--- dir (where relative files lie, and filters of its own), remedy (what to do about a name that is
--- not declared, "%s" in it).
function M.stack(files, options)
  options = options or {}
  local dir = options.dir or assert(core.file.realpath("."))
  local folders = { config = dir, data = dir, logs = dir }
  local service = { name = M.NAME, type = "process", settings = options.settings or {},
    variables = options.variables or {}, user = "root", config = files, dependencies = {},
    tags = {}, meta = {}, ports = {}, address = "127.0.0.1", scheme = "http",
    instances = { M.NAME }, dirs = folders }
  return { name = M.NAME, domain = "localhost", dir = dir, node = options.node, nodes = {},
    settings = {}, services = { [M.NAME] = service }, alone = options.remedy or "", dirs = {} }
end

--- Renders the files of a stack(): the list that render.files() gives | nil, message, code, uses;
--- the code is "pending" while a value is not known yet, else "invalid". `context` is that of
--- scope.new(), its lookup(name) -> records | nil, message. `listed` ({path = what it listed last})
--- is for the guards; say(problems) makes the message.
function M.render(stack, context, listed, say)
  local own = { dirs = stack.services[M.NAME].dirs }
  for key, value in pairs(context) do own[key] = value end
  local list, problems, uses = render.files(stack, M.NAME, own)
  if not list then
    local code = render.is_pending(problems) and "pending" or "invalid"
    return nil, say(problems), code, uses
  end
  for _, file in ipairs(list) do
    local why = guard.reason(file, listed and listed[file.path], TAKE_OVER)
    if why then return nil, why, "pending", file.uses end
  end
  return list
end

return M
