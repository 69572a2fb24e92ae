local core = require "orrery.core"
local file = core.file
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local MAX_BYTES = 64 * 1024 * 1024
local CHUNK = 65536
local BREATH = 50000 -- words between two waits, so that a big graph is no runaway

local function read_input()
  local parts = {}
  for part in function() return io.read(CHUNK) end do
    parts[#parts + 1] = part
    if #parts > MAX_BYTES // CHUNK then
      session.fail(session.UNHEALTHY, "the input is longer than %d bytes", MAX_BYTES)
    end
  end
  return table.concat(parts)
end

local function read_text(path)
  if path == "-" then return read_input() end
  local text, message = file.read(path, {max = MAX_BYTES})
  return text or session.fail(session.UNHEALTHY, message)
end

--- Pairs as tsort reads them: "a b" means a comes before b, "a a" only names a.
local function read_edges(path)
  local nodes, edges, seen, count, from = {}, {}, {}, 0, nil
  for word in read_text(path):gmatch("%S+") do
    count = count + 1
    if count % BREATH == 0 then core.time.sleep(0) end
    if not seen[word] then
      seen[word] = true
      nodes[#nodes + 1] = word
    end
    if from and from ~= word then
      edges[#edges + 1] = {from = word, to = from, type = "required"}
    end
    from = not from and word or nil
  end
  if from then
    session.fail(session.INVALID, "%s: an odd number of words: %q has no partner", path, from)
  end
  return {nodes = nodes, edges = edges}
end

local function quoted(name)
  return '"' .. name:gsub('[\\"]', "\\%0") .. '"'
end

local STYLES = {optional = "dashed", soft = "dotted", circular = "bold"}

local function dot(graph)
  local lines = {"digraph orrery {", "  rankdir = LR;"}
  for _, node in ipairs(graph.nodes) do lines[#lines + 1] = ("  %s;"):format(quoted(node)) end
  for _, edge in ipairs(graph.edges) do
    local style = STYLES[edge.type]
    lines[#lines + 1] = ("  %s -> %s%s;"):format(quoted(edge.from), quoted(edge.to),
      style and (' [style = %s, label = "%s"]'):format(style, edge.type) or "")
  end
  lines[#lines + 1] = "}"
  return lines
end

local ARROWS = {optional = "-. optional .->", soft = "-. soft .->", circular = "== circular ==>"}

--- Mermaid names are ids with a label, for `-` and words such as `end` mean something to it.
local function mermaid(graph)
  local lines, ids = {"graph LR"}, {}
  for i, node in ipairs(graph.nodes) do
    ids[node] = "n" .. i
    lines[#lines + 1] = ('  n%d["%s"]'):format(i, (node:gsub('"', "#quot;")))
  end
  for _, edge in ipairs(graph.edges) do
    lines[#lines + 1] = ("  %s %s %s"):format(ids[edge.from], ARROWS[edge.type] or "-->",
      ids[edge.to])
  end
  return lines
end

local function text(graph, order)
  local lines, needs = {}, {}
  for _, edge in ipairs(graph.edges) do
    needs[edge.from] = needs[edge.from] or {}
    local kind = edge.type == "required" and "" or " (" .. edge.type .. ")"
    table.insert(needs[edge.from], "  needs " .. edge.to .. kind)
  end
  for _, name in ipairs(order) do
    lines[#lines + 1] = name
    table.move(needs[name] or {}, 1, #(needs[name] or {}), #lines + 1, lines)
  end
  return lines
end

local function as_json(graph, solved)
  local waves = {}
  for i, wave in ipairs(solved.waves) do waves[i] = ui.list(wave) end
  return {
    nodes = ui.list(graph.nodes), edges = ui.list(graph.edges), order = ui.list(solved.order),
    waves = ui.list(waves), stop = ui.list(solved.stop),
  }
end

local function print_graph(options, graph, solved)
  if options.json then return ui.json(as_json(graph, solved)) end
  local lines
  if options.dot then
    lines = dot(graph)
  elseif options.mermaid then
    lines = mermaid(graph)
  else
    lines = options.edges and solved.order or text(graph, solved.order)
  end
  if #lines > 0 then ui.out("%s", table.concat(lines, "\n")) end
end

return {
  name = "graph",
  group = "prepare",
  summary = "show the dependency graph",
  options = {
    {name = "dot", summary = "for Graphviz"},
    {name = "mermaid", summary = "for Mermaid"},
    {name = "edges", value = "FILE",
      summary = "order the pairs in FILE (- is standard input) as tsort does, without a stack: "
        .. "`a b` means a comes before b"},
    {name = "json", summary = "print JSON"},
  },
  exits = {"0    shown", "1    FILE cannot be read", "2    wrong usage",
    "3    the stack is invalid, or the pairs have a cycle"},
  example = "orrery -f simple-pds graph --dot | dot -Tsvg > graph.svg",
  run = function(ctx)
    local graph
    if ctx.options.edges then
      graph = read_edges(ctx.options.edges)
    else
      graph = require("orrery.edges").spec(session.stack(ctx))
    end
    local solved, message = core.graph.solve(graph)
    if not solved then session.fail(session.INVALID, message) end
    print_graph(ctx.options, graph, solved)
  end,
}
