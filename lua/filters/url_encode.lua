--- url_encode -- percent-encoded, as one part of a URL.
local core = require "orrery.core"
local filter = require "orrery.filter"

return function(value) return core.text.url_encode(filter.text(value)) end
