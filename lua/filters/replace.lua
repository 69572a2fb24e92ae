--- replace -- replace(from, to): every `from`, taken literally.
local filter = require "orrery.filter"

return function(value, from, to)
  value, from, to = filter.text(value), filter.text(from, "from"), filter.text(to, "to")
  if from == "" then error("the text to replace is empty", 0) end
  local parts = filter.cut(value, from)
  filter.bound(#value + (#parts - 1) * #to)
  return table.concat(parts, to)
end
