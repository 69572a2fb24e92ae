--- word -- the value, if it is one plain word in the files of servers: nothing that ends a word, a
--- line or a block, begins a comment, or stands for something else.
local filter = require "orrery.filter"

return function(value)
  local text = filter.text(value)
  if text:find("^[%w._:@/%%+~%[%]-]+$") then return text end
  error("the value must be one word of letters, digits and . _ : @ / % + ~ - [ ]", 0)
end
