--- graph_layout -- where the boxes and lines of a dependency graph go: waves become columns. Pure.
--
-- An edge between columns that are not neighbours gets a point in each column that it passes, which
-- takes room there as a box does, so that no line runs through a box.
local M = {}

local SWEEPS = 12 -- over all columns, to take out crossings
local SETTLES = 8 -- over all columns, to straighten the lines

M.BOX_HEIGHT, M.GAP, M.POINT_HEIGHT = 42, 22, 12

-- ---- columns of items: boxes, and the points of long edges ----

local function new_item(column, name)
  local height = name and M.BOX_HEIGHT or M.POINT_HEIGHT
  local item = { name = name, height = height, column = column, left = {}, right = {} }
  return item
end

local function join(left, right)
  left.right[#left.right + 1] = right
  right.left[#right.left + 1] = left
end

--- The items that an edge passes, from the left column to the right one.
local function route(layout, edge)
  local a, b = layout.boxes[edge.from], layout.boxes[edge.to]
  if a.column > b.column then a, b = b, a end
  local items = { a }
  for column = a.column + 1, b.column - 1 do
    local point = new_item(column)
    table.insert(layout.columns[column], point)
    layout.points = layout.points + 1
    items[#items + 1] = point
  end
  items[#items + 1] = b
  for i = 2, a.column == b.column and 0 or #items do join(items[i - 1], items[i]) end
  return items
end

local function fill(graph, waves, max_points)
  local layout = { columns = {}, boxes = {}, edges = {}, points = 0 }
  for column, names in ipairs(waves) do
    layout.columns[column] = {}
    for i, name in ipairs(names) do
      layout.boxes[name] = new_item(column, name)
      layout.columns[column][i] = layout.boxes[name]
    end
  end
  for i, edge in ipairs(graph.edges) do
    if edge.from ~= edge.to then
      local items = route(layout, edge)
      table.insert(layout.edges, { from = edge.from, to = edge.to, type = edge.type, number = i,
        items = items })
    end
    if layout.points > max_points then return nil end
  end
  return layout
end

-- ---- fewer crossings ----

local function number(column)
  for i, item in ipairs(column) do item.at = i end
end

local function mean(items, key, otherwise)
  if #items == 0 then return otherwise end
  local sum = 0
  for _, item in ipairs(items) do sum = sum + item[key] end
  return sum / #items
end

local function sort_by_mean(column, side)
  for _, item in ipairs(column) do
    item.wish = mean(item[side], "at", item.at)
  end
  table.sort(column, function(a, b)
    if a.wish ~= b.wish then return a.wish < b.wish end
    return a.at < b.at
  end)
  number(column)
end

-- A tree of counts: how many of the numbers seen so far are above one.
local function count_above(tree, size, at)
  local sum, i = tree.total, at
  while i > 0 do
    sum = sum - (tree[i] or 0)
    i = i - (i & -i)
  end
  i = at
  while i <= size do
    tree[i] = (tree[i] or 0) + 1
    i = i + (i & -i)
  end
  tree.total = tree.total + 1
  return sum
end

local function column_crossings(column, next_size)
  local tree, crossings = { total = 0 }, 0
  for _, item in ipairs(column) do
    local ends = {}
    for i, other in ipairs(item.right) do ends[i] = other.at end
    table.sort(ends)
    for _, at in ipairs(ends) do crossings = crossings + count_above(tree, next_size, at) end
  end
  return crossings
end

local function crossings_of(layout)
  local sum = 0
  for i = 1, #layout.columns - 1 do
    sum = sum + column_crossings(layout.columns[i], #layout.columns[i + 1])
  end
  return sum
end

local function copy_columns(columns)
  local copy = {}
  for i, column in ipairs(columns) do copy[i] = table.move(column, 1, #column, 1, {}) end
  return copy
end

local function sweep(layout, rightwards)
  local count = #layout.columns
  for i = 2, count do
    local column = rightwards and i or count + 1 - i
    sort_by_mean(layout.columns[column], rightwards and "left" or "right")
  end
end

local function reduce_crossings(layout)
  for _, column in ipairs(layout.columns) do number(column) end
  local best, fewest = copy_columns(layout.columns), crossings_of(layout)
  for round = 1, SWEEPS do
    if fewest == 0 then break end
    sweep(layout, round % 2 == 1)
    local crossings = crossings_of(layout)
    if crossings < fewest then best, fewest = copy_columns(layout.columns), crossings end
  end
  layout.columns, layout.crossings = best, fewest
  for _, column in ipairs(best) do number(column) end
end

-- ---- heights: each item as near to its wish as the others let it ----

local function gap_between(a, b)
  local gap = (a.name or b.name) and M.GAP or M.GAP / 2
  return (a.height + b.height) / 2 + gap
end

local function merge_last(blocks)
  local b, a = table.remove(blocks), blocks[#blocks]
  a.sum, a.weight, a.last = a.sum + b.sum, a.weight + b.weight, b.last
end

-- Wishes in order and apart, with the least squared distance from what was wished: neighbours that
-- want to pass each other form a block, which stands where its members want to be on average.
local function place(column)
  local blocks, offset = {}, 0
  for i, item in ipairs(column) do
    if i > 1 then offset = offset + gap_between(column[i - 1], item) end
    item.offset = offset
    local weight = item.name and 1 or 4 -- a bend in a line is worse than a shifted box
    blocks[#blocks + 1] = { sum = (item.wish - offset) * weight, weight = weight, first = i,
      last = i }
    while #blocks > 1 and blocks[#blocks - 1].sum / blocks[#blocks - 1].weight
      > blocks[#blocks].sum / blocks[#blocks].weight do
      merge_last(blocks)
    end
  end
  for _, block in ipairs(blocks) do
    for i = block.first, block.last do
      column[i].y = block.sum / block.weight + column[i].offset
    end
  end
end

local function wish_from(column, sides)
  for _, item in ipairs(column) do
    local around = {}
    for _, side in ipairs(sides) do table.move(item[side], 1, #item[side], #around + 1, around) end
    item.wish = mean(around, "y", item.y)
  end
  place(column)
end

local function stack_up(column)
  for _, item in ipairs(column) do item.wish = 0 end
  place(column) -- all wish the middle: the column is centred on it
end

local function set_heights(layout)
  for _, column in ipairs(layout.columns) do stack_up(column) end
  local count = #layout.columns
  for round = 1, SETTLES do
    local rightwards = round % 2 == 1
    for i = 1, count do
      wish_from(layout.columns[rightwards and i or count + 1 - i],
        round > SETTLES - 2 and { "left", "right" } or { rightwards and "left" or "right" })
    end
  end
end

--- Columns from the waves of a plan. Items have height and y, their middle (the top is at 0);
-- items with a name are boxes. edges[i].items goes from the left box over points to the right one.
-- nil if the lines need more than `max_points` points.
function M.make(graph, waves, max_points)
  local layout = fill(graph, waves, max_points)
  if not layout then return nil end
  reduce_crossings(layout)
  set_heights(layout)
  local top, bottom = 0, 0
  for _, column in ipairs(layout.columns) do
    for _, item in ipairs(column) do
      top = math.min(top, item.y - item.height / 2)
      bottom = math.max(bottom, item.y + item.height / 2)
    end
  end
  for _, column in ipairs(layout.columns) do
    for _, item in ipairs(column) do item.y = item.y - top end
  end
  layout.height = bottom - top
  return layout
end

return M
