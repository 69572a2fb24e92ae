--- orrery.secret: values that are shown to nobody. Documented in lua/meta/secret.lua.
local secret = require "orrery.secret"

local M = { new = secret.new, is = secret.is, describe = secret.describe }

--- The store of a folder: its resolve(secret) gives the text, and makes what is to be generated.
function M.open(folder)
  if type(folder) ~= "string" then error("secret.open: expected a folder", 2) end
  return secret.open(folder)
end

return M
