-- graph_calls -- graph_calls.lua FILE [lists]: what `orrery graph --edges FILE` does, but built
-- from Lua: call by call, or in lists of names.
local graph = require("orrery.core").graph

local PAIRS = 512 -- of a list

local path = assert(arg[1], "usage: graph_calls.lua FILE [lists]")
local g = graph.new()

local function call_by_call()
  for line in io.lines(path) do
    local first, second = line:match("(%S+) (%S+)")
    local a, b = g:add_node(first), g:add_node(second)
    if a ~= b then g:add_edge(b, a) end
  end
end

local function in_lists()
  local names, count = {}, 0
  for line in io.lines(path) do
    local first, second = line:match("(%S+) (%S+)")
    if first == second then
      g:add_node(first)
    else
      names[count + 1], names[count + 2] = second, first
      count = count + 2
    end
    if count == 2 * PAIRS then
      g:add_edges(names)
      count = 0
    end
  end
  g:add_edges(table.move(names, 1, count, 1, {}))
end

if arg[2] == "lists" then in_lists() else call_by_call() end
io.write(g:lines())
