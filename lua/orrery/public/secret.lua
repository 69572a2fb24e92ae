--- orrery.secret: values that are shown to nobody. Documented in lua/meta/secret.lua.
local secret = require "orrery.secret"

local M = { new = secret.new, is = secret.is, describe = secret.describe }

local Store = {}
Store.__index = Store

function Store:resolve(value)
  if not secret.is(value) then error("store:resolve: expected a secret", 2) end
  return self.store:resolve(value)
end

function M.open(folder)
  if type(folder) ~= "string" then error("secret.open: expected a folder", 2) end
  return setmetatable({ store = secret.open(folder) }, Store)
end

return M
