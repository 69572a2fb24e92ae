-- graph_calls -- what `orrery graph --edges FILE` does, but built call by call from Lua.
local graph = require("orrery.core").graph

local g = graph.new()
for line in io.lines((assert(arg[1], "usage: graph_calls.lua FILE"))) do
  local first, second = line:match("(%S+) (%S+)")
  local a, b = g:add_node(first), g:add_node(second)
  if a ~= b then g:add_edge(b, a) end
end
io.write(g:lines())
