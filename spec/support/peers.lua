--- peers -- server programs that the running Debian release lacks, as .ci/peers.sh unpacked them.
local support = require "support"

local M = {}

--- The path of a program, such as find("etcd", "etcdctl"); nil and the reason if it is not there.
--- A spec that needs it says so: `if not path then return pending(reason) end`.
function M.find(name, program)
  local folder = ("%s/build/peers/%s/usr/"):format(support.root, name)
  for _, place in ipairs { "bin/", "sbin/" } do
    local path = folder .. place .. (program or name)
    if support.exists(path) then return path end
  end
  return nil, ("%s is not in %s: run .ci/peers.sh %s"):format(program or name, folder, name)
end

--- Where the libraries lie that came with a peer, for LD_LIBRARY_PATH.
function M.library_folder(name)
  return ("%s/build/peers/%s/usr/lib/x86_64-linux-gnu"):format(support.root, name)
end

return M
