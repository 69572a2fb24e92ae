--- edges -- a stack's services and dependencies as the graph functions of the core take them.
local suggest = require "orrery.suggest"

local M = {}

--- {nodes, edges} of the stack, sorted by name. Discovered groups start nowhere, and are in it only
-- if `with_groups` asks for them, for people.
function M.spec(stack, with_groups)
  local spec = { nodes = suggest.names(stack.services), edges = {} }
  local seen = {}
  for n = 1, #spec.nodes do
    local from = spec.nodes[n]
    local dependencies = stack.services[from].dependencies
    for _, to in ipairs(suggest.names(dependencies)) do
      local known = stack.services[to] ~= nil
      if with_groups and not known and not seen[to] then spec.nodes[#spec.nodes + 1] = to end
      seen[to] = true
      if known or with_groups then
        spec.edges[#spec.edges + 1] = { from = from, to = to, type = dependencies[to].type }
      end
    end
  end
  return spec
end

return M
