--- replace -- replace(from, to): every `from`, taken literally.
local filter = require "orrery.filter"

return function(value, from, to)
  value, from, to = filter.text(value), filter.text(from, "from"), filter.text(to, "to")
  if from == "" then error("the text to replace is empty", 0) end
  return table.concat(filter.cut(value, from), to)
end
