--- edges -- the dependency graph of a stack, as orrery.graph reads it.
local suggest = require "orrery.suggest"

local M = {}

--- {nodes, edges} of a loaded stack.
function M.spec(stack)
  local spec = { nodes = suggest.names(stack.services), edges = {} }
  for _, from in ipairs(spec.nodes) do
    local dependencies = stack.services[from].dependencies
    for _, to in ipairs(suggest.names(dependencies)) do
      spec.edges[#spec.edges + 1] = { from = from, to = to, type = dependencies[to].type }
    end
  end
  return spec
end

return M
