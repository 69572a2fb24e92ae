--- sha256 -- the SHA-256 digest of the text, in hexadecimal.
local core = require "orrery.core"
local filter = require "orrery.filter"

return function(value) return core.text.sha256(filter.text(value)) end
