--- lower -- ASCII letters in lower case.
local text = require "orrery.filter".text

return function(value) return (text(value):lower()) end
