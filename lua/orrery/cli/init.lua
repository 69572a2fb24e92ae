--- cli -- the command line: argv in, exit code out.
local orrery = require "orrery"

local M = {}

function M.main(arg)
  print("orrery " .. orrery.version .. " (" .. (arg[1] or "") .. ")")
  return 0
end

return M
