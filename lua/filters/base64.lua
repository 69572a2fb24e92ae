--- base64 -- encoded as base64, with padding.
local core = require "orrery.core"
local filter = require "orrery.filter"

return function(value) return core.text.base64(filter.text(value)) end
