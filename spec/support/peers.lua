--- peers -- server programs that the running Debian release lacks, as .ci/peers.sh unpacked them.
local support = require "support"

local M = {}

--- The path of a program, such as find("etcd", "etcdctl"); nil and the reason if it is not there.
--- A spec that needs it says so: `if not path then return pending(reason) end`.
function M.find(name, program)
  local path = ("%s/build/peers/%s/usr/bin/%s"):format(support.root, name, program or name)
  if support.exists(path) then return path end
  return nil, ("%s is not there: run .ci/peers.sh %s"):format(path, name)
end

return M
