local args = require "orrery.cli.args"
local core = require "orrery.core"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local function refuse(message, code)
  local exit = (code == "invalid" or code == "cycle") and session.INVALID
  session.fail(exit or session.UNHEALTHY, "%s", message)
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

local ENTITIES = {
  ["#"] = "#35;", ['"'] = "#quot;", ["<"] = "#lt;", [">"] = "#gt;", ["&"] = "#amp;",
}

--- Mermaid names are ids with a label, for `-` and words such as `end` mean something to it.
local function mermaid(graph)
  local lines, ids = {"graph LR"}, {}
  for i, node in ipairs(graph.nodes) do
    ids[node] = "n" .. i
    lines[#lines + 1] = ('  n%d["%s"]'):format(i, (node:gsub('[#"<>&]', ENTITIES)))
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

local function as_json(graph, plan, critical)
  local waves = {}
  for i, wave in ipairs(plan.waves) do waves[i] = ui.list(wave) end
  return {
    nodes = ui.list(graph.nodes), edges = ui.list(graph.edges), order = ui.list(plan.order),
    waves = ui.list(waves), stop = ui.list(plan.stop), dropped = ui.list(plan.dropped),
    critical = ui.list(critical.path),
  }
end

--- What a box says below the name of its service.
local function details(stack)
  local lines = {}
  for name, service in pairs(stack and stack.services or {}) do
    local words = {}
    if service.type ~= "process" and service.type ~= name then words[1] = service.type end
    if service.external then words[#words + 1] = "external" end
    if service.oneshot then words[#words + 1] = "oneshot" end
    if service.port then words[#words + 1] = ":" .. service.port end
    lines[name] = #words > 0 and table.concat(words, "  ") or nil
    for target, dependency in pairs(service.dependencies) do
      if not stack.services[target] then
        lines[target] = ("discovered, %d%s"):format(dependency.min or 1,
          dependency.tag and " tagged " .. dependency.tag or "")
      end
    end
  end
  return lines
end

local function svg(graph, plan, critical, stack)
  core.time.sleep(0) -- a big picture takes most of the second that a task has between two waits
  local picture, message = require("orrery.graph_svg").render(graph, plan, {
    title = stack and stack.name, critical = critical.path, details = details(stack),
  })
  return picture or session.fail(session.UNHEALTHY, "%s", message)
end

local function print_lines(lines)
  if #lines > 0 then ui.write(table.concat(lines, "\n") .. "\n") end
end

--- `handle` holds the same graph as `graph`.
local function print_graph(options, graph, handle, stack)
  local plan, message, code = handle:solve()
  if not plan then refuse(message, code) end
  if options.dot then return print_lines(dot(graph)) end
  if options.mermaid then return print_lines(mermaid(graph)) end
  if options.svg then return ui.write(svg(graph, plan, handle:critical(), stack)) end
  if options.json then return ui.json(as_json(graph, plan, handle:critical())) end
  print_lines(text(graph, plan.order))
end

--- A file of pairs. Its plain answer is never a table, so that millions of pairs are no matter.
local function print_file(options)
  local handle <close>, message, code = core.graph.read(options.edges)
  if not handle then refuse(message, code) end
  if options.dot or options.mermaid or options.svg or options.json then
    return print_graph(options, {nodes = handle:nodes(), edges = handle:edges()}, handle)
  end
  local lines
  lines, message, code = handle:lines()
  if not lines then refuse(message, code) end
  ui.write(lines)
end

local FORMS = { "svg", "dot", "mermaid", "json" }

local function check_form(options)
  local given = {}
  for _, form in ipairs(FORMS) do if options[form] then given[#given + 1] = "--" .. form end end
  if #given > 1 then args.misuse("give one of %s", table.concat(given, ", ")) end
end

return {
  name = "graph",
  group = "prepare",
  summary = "show the dependency graph",
  options = {
    {name = "svg", summary = "a picture; needs no other program"},
    {name = "dot", summary = "for Graphviz"},
    {name = "mermaid", summary = "for Mermaid"},
    {name = "edges", value = "FILE",
      summary = "order the pairs in FILE (- is standard input) as tsort does, without a stack: "
        .. "`a b` means a comes before b"},
    {name = "json", summary = "print JSON"},
  },
  exits = {"0    shown", "1    FILE cannot be read, or is too big for a picture",
    "2    wrong usage", "3    the stack or FILE is invalid, or has a cycle"},
  example = "orrery -f simple-pds graph --svg > graph.svg",
  run = function(ctx)
    check_form(ctx.options)
    if ctx.options.edges then return print_file(ctx.options) end
    local stack = session.stack(ctx)
    local graph = require("orrery.edges").spec(stack, true)
    local handle <close> = core.graph.new(graph)
    print_graph(ctx.options, graph, handle, stack)
  end,
}
