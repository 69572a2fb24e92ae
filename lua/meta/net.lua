---@meta
error("a meta file cannot be required")

--- TCP connections and this machine's ports.
---@class orrery.net
local net = {}

--- Waits until a connection is made, and closes it again: true when somebody listens. The addresses
--- of a name are tried in turn.
---
---     local ok, message = orrery.net.connect("127.0.0.1", 5432, { timeout = 1 })
---@async
---@param host string name or address
---@param port integer 1 to 65535
---@param options? {timeout?: number} timeout: seconds (5)
---@return true? ok or nil, message, code ("refused", "timeout", "not_found", "io")
---@return string? message
---@return string? code
function net.connect(host, port, options) end

--- Whether a server could listen at an address and port now.
---
---     local ok, message = orrery.net.can_bind("127.0.0.1", 3000)
---@param address string an IP address; "0.0.0.0" and "::" for all
---@param port integer 1 to 65535
---@return true? ok or nil, message, code ("exists": somebody listens; "denied": not allowed)
---@return string? message
---@return string? code
function net.can_bind(address, port) end

--- A TCP port that is free now, chosen by the kernel.
---
--- ```lua
--- local port = assert(orrery.net.free_port())
--- print(orrery.net.can_bind("127.0.0.1", port)) --> true
--- ```
---@param address? string an IP address of this machine ("127.0.0.1")
---@return integer? port or nil, message, code
---@return string? message
---@return string? code
function net.free_port(address) end

--- Who listens on a TCP port, at whatever address; nil if nobody does. `pid` and `name` are absent
--- when it is a process that this user may not look into; `uid` is always known.
---
---     local found = orrery.net.listener(3000)
---     if found then print(found.pid, found.name) end
---@param port integer 1 to 65535
---@return {pid?: integer, name?: string, uid: integer}? listener
---@return string? message if /proc cannot be read
---@return string? code
function net.listener(port) end

return net
