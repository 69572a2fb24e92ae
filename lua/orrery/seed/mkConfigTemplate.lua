--- mkConfigTemplate -- a template with the declarations of its variables. Documented in
--- lua/meta/seed_templates.lua.
local alone = require "orrery.render.alone"
local core = require "orrery.core"
local formats = require "orrery.formats"
local given = require "orrery.scope.given"
local scope = require "orrery.scope"
local templating = require "orrery.templating"

local KNOWN = { name = true, description = true, template = true, variables = true,
  outputFormat = true, validation = true }

local class = {}
class.__index = class

function class:processTemplate(variables, discoveredServices)
  local file, message, code = templating.render { path = "/" .. self.name, template = self,
    variables = variables, lookup = templating.lookup_in(discoveredServices) }
  return file and file.text, message, code
end

--- The problems of variables do not need the services that the text names.
function class:validateVariables(variables)
  local stack = alone.stack({}, { variables = self.variables,
    settings = given.literal(variables or {}) })
  local errors = core.json.array {}
  local problems = scope.new({ service = alone.NAME, stack = stack }):check()
  for i, problem in ipairs(problems) do errors[i] = problem.message end
  return { valid = #errors == 0, errors = errors }
end

function class:generateOutput(text)
  local value, message, line = assert(formats.get(self.outputFormat)).read(text)
  if value ~= nil then return text end
  return nil, ("%s:%d: this is not valid %s: %s"):format(self.name, line or 1, self.outputFormat,
    message), "invalid"
end

return function(arguments)
  templating.check_arguments(arguments, KNOWN)
  local template = setmetatable({ name = arguments.name, template = arguments.template,
    description = arguments.description or "", variables = arguments.variables or {},
    outputFormat = arguments.outputFormat or "json", validation = arguments.validation or {} },
    class)
  return (templating.checked(template))
end
