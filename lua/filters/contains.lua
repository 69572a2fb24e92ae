--- contains -- contains(x): whether a list has that item, a map that key, or a text that part.
local filter = require "orrery.filter"
local values = require "orrery.template.values"

return function(value, wanted)
  wanted = filter.value(wanted)
  if type(value) == "string" then
    local part = filter.text(wanted, "x")
    filter.bound_search(value, part)
    return value:find(part, 1, true) ~= nil
  end
  if not filter.is_list(value) then
    filter.keys(value)
    return value[wanted] ~= nil
  end
  for _, item in ipairs(value) do if values.equal(item, wanted) then return true end end
  return false
end
