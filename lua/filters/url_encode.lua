--- url_encode -- percent-encoded, as one part of a URL.
local filter = require "orrery.filter"

local function encoded(char) return ("%%%02X"):format(char:byte()) end

return function(value) return (filter.text(value):gsub("[^%w._~-]", encoded)) end
