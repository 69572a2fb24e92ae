--- keys -- the keys of a map, sorted.
local filter = require "orrery.filter"

return function(value) return filter.mark(filter.keys(value)) end
