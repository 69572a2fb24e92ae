--- split -- split(separator): a list of the parts; the separator is taken literally.
local filter = require "orrery.filter"

return function(value, separator)
  separator = filter.text(separator, "separator")
  if separator == "" then error("the separator is empty", 0) end
  return filter.cut(filter.text(value), separator)
end
