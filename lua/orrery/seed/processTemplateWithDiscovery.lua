--- processTemplateWithDiscovery -- the text of a template, from variables and what discovery knows.
--- Documented in lua/meta/seed_templates.lua.
local mkConfigTemplate = require "orrery.seed.mkConfigTemplate"

return function(template, variables, discoveredServices)
  if type(template) ~= "table" then
    error("expected a template of mkConfigTemplate, got " .. type(template), 2)
  end
  if not getmetatable(template) then template = mkConfigTemplate(template) end
  return template:processTemplate(variables, discoveredServices)
end
