--- graph_svg -- a dependency graph as an SVG picture, laid out without any other program. Pure.
local layouts = require "orrery.graph_layout"

local M = {}

M.MAX_NODES, M.MAX_POINTS = 1000, 5000 -- what a picture is good for, and what takes under a second

local MARGIN, HEAD, COLUMN_GAP = 28, 30, 96
local LETTER, SMALL_LETTER = 7.7, 6.1 -- width of a letter; a little too wide, so that it fits
local MAX_LETTERS = 34
local TYPES = { "required", "optional", "soft", "circular" }

local STYLE = [[
  text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
  .name { font-size: 13px; font-weight: 600; fill: #1f2733 }
  .more { font-size: 10.5px; fill: #66707f }
  .wave { font-size: 11px; fill: #8a94a3; letter-spacing: .06em }
  .box { fill: #ffffff; stroke: #b4bdca; stroke-width: 1.2 }
  .critical .box { stroke: #2563c9; stroke-width: 2 }
  .band { fill: #f4f6f9 }
  .edge { fill: none; stroke-width: 1.5 }
  .required { stroke: #55606f; color: #55606f }
  .optional { stroke: #2a8f6d; stroke-dasharray: 6 4 }
  .soft { stroke: #9a8230; stroke-dasharray: 1.5 4; stroke-linecap: round }
  .circular { stroke: #a23fa8; stroke-width: 2.2 }
  .edge.critical { stroke: #2563c9; stroke-width: 2.4 }
  .dropped { opacity: .4 }
]]

local COLOURS = { required = "#55606f", optional = "#2a8f6d", soft = "#9a8230",
  circular = "#a23fa8", critical = "#2563c9" }

-- ---- text ----

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

--- Text as XML may hold it: control characters and what is no UTF-8 become question marks.
local function escape(text)
  if not utf8.len(text) then text = text:gsub("[\128-\255]", "?") end
  text = text:gsub("\239\191[\190\191]", "?") -- U+FFFE and U+FFFF are not allowed in XML
  return (text:gsub("[%c\127]", "?"):gsub('[&<>"]', ENTITIES))
end

local function shortened(text)
  local length = utf8.len(text)
  if not length then return #text > MAX_LETTERS and text:sub(1, MAX_LETTERS - 1) .. "…" or text end
  if length <= MAX_LETTERS then return text end
  return text:sub(1, utf8.offset(text, MAX_LETTERS) - 1) .. "…"
end

local function text_width(text, letter)
  return (utf8.len(text) or #text) * letter
end

--- One decimal, always with a point and without a useless zero.
local function num(value)
  return (("%.1f"):format(value):gsub("%.0$", ""))
end

-- ---- across ----

local function box_width(name, detail)
  local width = text_width(shortened(name), LETTER)
  if detail then width = math.max(width, text_width(shortened(detail), SMALL_LETTER)) end
  return math.max(width + 28, 84)
end

--- Gives each column its x and width; more lines between two columns need more room.
local function set_columns(layout, details)
  local x, spans = MARGIN, {}
  for number, column in ipairs(layout.columns) do
    local width, lines = 0, 0
    for _, item in ipairs(column) do
      if item.name then width = math.max(width, box_width(item.name, details[item.name])) end
      lines = lines + #item.right
    end
    spans[number] = { x = x, width = width }
    x = x + width + COLUMN_GAP + math.min(lines * 2, 80)
  end
  local last = spans[#spans]
  return spans, last and last.x + last.width + MARGIN or 2 * MARGIN
end

-- ---- edges ----

--- The ends of the lines at one side of a box, spread over it in the order of what they lead to.
local function spread(ends)
  table.sort(ends, function(a, b)
    if a.towards ~= b.towards then return a.towards < b.towards end
    return a.number < b.number
  end)
  local room = layouts.BOX_HEIGHT - 16
  for i, e in ipairs(ends) do
    local step = math.min(room / #ends, 9)
    e.y = e.box.y + (i - (#ends + 1) / 2) * step
  end
end

local function add_end(sides, box, side, towards, number)
  local list = sides[side][box] or {}
  sides[side][box] = list
  local new = { box = box, towards = towards, number = number }
  list[#list + 1] = new
  return new
end

--- Where each edge leaves and reaches its boxes: edge.first on the left, edge.last on the right.
local function set_ends(layout)
  local sides = { left = {}, right = {} }
  for _, edge in ipairs(layout.edges) do
    local items = edge.items
    local a, b = items[1], items[#items]
    edge.beside = a.column == b.column
    edge.first = add_end(sides, a, "right", items[2].y, edge.number)
    edge.last = add_end(sides, b, edge.beside and "right" or "left", items[#items - 1].y,
      edge.number)
  end
  for _, boxes in pairs(sides) do
    for _, ends in pairs(boxes) do spread(ends) end
  end
end

--- A curve that leaves and arrives level.
local function curve(x1, y1, x2, y2)
  local middle = (x1 + x2) / 2
  return ("C%s %s %s %s %s %s"):format(num(middle), num(y1), num(middle), num(y2), num(x2), num(y2))
end

--- Between two boxes of one column: a bow on their right.
local function bow(edge, span, dy)
  local x, y1, y2 = span.x + span.width, edge.first.y + dy, edge.last.y + dy
  local out = x + math.min(26 + math.abs(y2 - y1) / 8, COLUMN_GAP - 20)
  return ("M%s %sC%s %s %s %s %s %s"):format(num(x), num(y1), num(out), num(y1), num(out), num(y2),
    num(x), num(y2))
end

local function path(edge, spans, dy)
  local items = edge.items
  local span = spans[items[1].column]
  if edge.beside then return bow(edge, span, dy) end
  local x, y = span.x + span.width, edge.first.y + dy
  local parts = { ("M%s %s"):format(num(x), num(y)) }
  for i = 2, #items - 1 do
    local passed, level = spans[items[i].column], items[i].y + dy
    parts[#parts + 1] = curve(x, y, passed.x, level)
    x, y = passed.x + passed.width, level
    parts[#parts + 1] = ("H%s"):format(num(x))
  end
  parts[#parts + 1] = curve(x, y, spans[items[#items].column].x, edge.last.y + dy)
  return table.concat(parts)
end

local function edge_svg(edge, spans, dy, state)
  local left_is_from = edge.items[1].name == edge.from
  local classes = { "edge", edge.type }
  if state.critical then classes[#classes + 1] = "critical" end
  if state.dropped then classes[#classes + 1] = "dropped" end
  local marker = ("marker-%s=\"url(#arrow-%s)\""):format(left_is_from and "end" or "start",
    state.critical and "critical" or edge.type)
  return ('<path class="%s" d="%s" %s><title>%s needs %s (%s%s)</title></path>'):format(
    table.concat(classes, " "), path(edge, spans, dy), marker, escape(edge.from),
    escape(edge.to), edge.type, state.dropped and ", orders nothing: it lies on a cycle" or "")
end

-- ---- boxes ----

local function box_svg(item, span, dy, detail, critical)
  local y, middle = item.y + dy, span.x + span.width / 2
  local lines = {
    ('<g class="node%s"><title>%s</title>'):format(critical and " critical" or "",
      escape(item.name)),
    ('<rect class="box" x="%s" y="%s" width="%s" height="%s" rx="8"/>'):format(num(span.x),
      num(y - item.height / 2), num(span.width), num(item.height)),
    ('<text class="name" x="%s" y="%s" text-anchor="middle">%s</text>'):format(num(middle),
      num(y + (detail and -2 or 4.5)), escape(shortened(item.name))),
  }
  if detail then
    lines[#lines + 1] = ('<text class="more" x="%s" y="%s" text-anchor="middle">%s</text>'):format(
      num(middle), num(y + 13), escape(shortened(detail)))
  end
  lines[#lines + 1] = "</g>"
  return table.concat(lines)
end

local function band_svg(number, span, height)
  return ('<rect class="band" x="%s" y="%s" width="%s" height="%s" rx="12"/>'):format(
    num(span.x - 12), num(MARGIN - 10), num(span.width + 24), num(height + HEAD + 20))
    .. ('<text class="wave" x="%s" y="%s" text-anchor="middle">%s</text>'):format(
    num(span.x + span.width / 2), num(MARGIN + 9), "WAVE " .. number)
end

-- ---- the rest ----

local function marker_svg(kind)
  return ('<marker id="arrow-%s" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" '
    .. 'markerHeight="9" markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
    .. '<path d="M0 1L9.5 5L0 9z" fill="%s"/></marker>'):format(kind, COLOURS[kind])
end

local LEGEND = { required = "required", optional = "optional", soft = "soft",
  circular = "circular", critical = "longest chain" }

--- Samples of the lines that are in the picture; returns its parts and where they end.
local function legend(used, y)
  local parts, x = {}, MARGIN
  for _, kind in ipairs { "required", "optional", "soft", "circular", "critical" } do
    if used[kind] then
      parts[#parts + 1] = ('<path class="edge %s" d="M%s %sH%s"/>'):format(
        kind == "critical" and "required critical" or kind, num(x), num(y), num(x + 34))
      parts[#parts + 1] = ('<text class="more" x="%s" y="%s">%s</text>'):format(num(x + 42),
        num(y + 3.5), LEGEND[kind])
      x = x + 42 + text_width(LEGEND[kind], SMALL_LETTER) + 24
    end
  end
  return parts, x
end

local function links_of(chain)
  local links = {}
  for i = 2, #chain do links[chain[i] .. "\0" .. chain[i - 1]] = true end
  return links
end

local function set_of(list, key)
  local set = {}
  for _, value in ipairs(list or {}) do set[key and key(value) or value] = true end
  return set
end

local function edge_key(edge) return edge.from .. "\0" .. edge.to .. "\0" .. edge.type end

local function draw(layout, options)
  local spans, width = set_columns(layout, options.details)
  local chain = #options.critical > 2 and options.critical or {}
  local in_chain, links = set_of(chain), links_of(chain)
  local dropped, used, dy = set_of(options.dropped, edge_key), {}, MARGIN + HEAD
  local bands, lines, boxes = {}, {}, {}
  set_ends(layout)
  for number, span in ipairs(spans) do bands[number] = band_svg(number, span, layout.height) end
  for i, edge in ipairs(layout.edges) do
    local critical = links[edge.from .. "\0" .. edge.to]
      and (edge.type == "required" or edge.type == "optional")
    used[critical and "critical" or edge.type] = true
    lines[i] = edge_svg(edge, spans, dy,
      { critical = critical, dropped = dropped[edge_key(edge)] })
  end
  for number, column in ipairs(layout.columns) do
    for _, item in ipairs(column) do
      if item.name then
        boxes[#boxes + 1] = box_svg(item, spans[number], dy, options.details[item.name],
          in_chain[item.name])
      end
    end
  end
  local legend_parts, legend_end = legend(used, dy + layout.height + MARGIN + 12)
  return { bands = bands, lines = lines, boxes = boxes, legend = legend_parts,
    width = math.max(width, legend_end), height = dy + layout.height + MARGIN + 34 }
end

local function assemble(picture, title)
  local width, height = num(picture.width), num(picture.height)
  local parts = {
    ('<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s">')
      :format(width, height, width, height),
    ("<title>%s</title>"):format(escape(title)),
    ("<style>\n%s</style>"):format(STYLE), "<defs>",
  }
  for _, kind in ipairs(TYPES) do parts[#parts + 1] = marker_svg(kind) end
  parts[#parts + 1] = marker_svg("critical") .. "</defs>"
  parts[#parts + 1] = ('<rect width="%s" height="%s" fill="#ffffff"/>'):format(width, height)
  for _, list in ipairs { picture.bands, picture.lines, picture.boxes, picture.legend } do
    table.move(list, 1, #list, #parts + 1, parts)
  end
  parts[#parts + 1] = "</svg>\n"
  return table.concat(parts, "\n")
end

--- The picture of {nodes, edges} with its solved plan (waves, dropped). `options`: title; critical,
-- the longest chain of names; details, a second line by name. nil, message if the graph is too big.
function M.render(graph, plan, options)
  if #graph.nodes > M.MAX_NODES then
    return nil, ("a picture of %d names would show nothing: the most is %d; --dot and --json have "
      .. "no bound"):format(#graph.nodes, M.MAX_NODES)
  end
  local layout = layouts.make(graph, plan.waves, M.MAX_POINTS)
  if not layout then
    return nil, "a picture of so many long edges would show nothing; --dot and --json have no bound"
  end
  local picture = draw(layout, { details = options.details or {}, dropped = plan.dropped,
    critical = options.critical or {} })
  return assemble(picture, options.title or "dependency graph")
end

return M
