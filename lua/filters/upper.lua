--- upper -- ASCII letters in upper case.
local text = require "orrery.filter".text

return function(value) return (text(value):upper()) end
