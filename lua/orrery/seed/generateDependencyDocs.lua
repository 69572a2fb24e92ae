--- generateDependencyDocs -- a graph of mkDependencyGraph as Markdown.

local function lines_of(edges, line)
  local lines = {}
  for i, edge in ipairs(edges) do lines[i] = line(edge) end
  return #lines > 0 and table.concat(lines, "\n") or "None"
end

local function dependency_line(edge)
  local strategy = edge.dependency.healthCheck.strategy
  return ("- **%s** (%s): %s"):format(edge.to, edge.dependency.type,
    strategy and strategy .. " health check" or "no health check")
end

local function service_text(graph, name)
  return ("## %s\n\n### Dependencies\n%s\n\n### Dependents\n%s\n"):format(name,
    lines_of(graph.getDependencies(name), dependency_line),
    lines_of(graph.getDependents(name), function(edge) return ("- **%s**"):format(edge.from) end))
end

return function(graph)
  if type(graph) ~= "table" or not graph.topologicalSort then
    error("generateDependencyDocs: expected a graph, as mkDependencyGraph makes it", 2)
  end
  local order, message, code = graph.topologicalSort()
  if not order then return nil, message, code end
  local parts = {}
  for i, name in ipairs(graph.nodes) do parts[i] = service_text(graph, name) end
  return ("# Service Dependency Graph\n\n## Startup Order\n%s\n\n## Service Details\n%s"):format(
    table.concat(order, " → "), table.concat(parts, "\n"))
end
