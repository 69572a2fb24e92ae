---@meta
error("a meta file cannot be required")

--- Names and addresses. Codes: "not_found" (no such name, or no such record of it), "timeout",
--- "refused" (no name server answers), "denied" (it refuses the question), "bad_reply", "invalid".
---
--- ```lua
--- print(assert(orrery.dns.resolve "127.0.0.1")[1]) --> 127.0.0.1
--- print(orrery.dns.resolve "no name") --> nil ...
--- ```
---@class orrery.dns
local dns = {}

--- Waits for the addresses of a name: an address itself, localhost and what ends in `.localhost`
--- (always loopback), the hosts file, then the system's name servers. At most 16.
---
---     local addresses = assert(orrery.dns.resolve("pds.example.com"))
---     print(addresses[1])
---@async
---@param name string
---@param options? {timeout?: number} timeout: seconds (5)
---@return string[]? addresses or nil, message, code
---@return string? message
---@return string? code
function dns.resolve(name, options) end

---@class orrery.dns.QueryOptions
---@field server? string "192.0.2.1:5353" or "[2001:db8::1]:53"; default: the system's name servers
---@field timeout? number seconds (5)
---@field tcp? boolean ask by TCP at once; else only when the answer does not fit (false)

--- Asks a name server for the records of a type. Each record has its `ttl` (seconds); beside it
--- SRV: `priority`, `weight`, `port`, `target`; A and AAAA: `address`; TXT: its texts as a list.
---
---     local records, ttl = orrery.dns.query("_pds._tcp.example.com", "SRV",
---       { server = "127.0.0.1:5353" })
---@async
---@param name string
---@param type "SRV"|"TXT"|"A"|"AAAA"
---@param options? orrery.dns.QueryOptions
---@return table[]? records or nil, message, code
---@return integer|string ttl the least of the answer, aliases included, in seconds; or the message
---@return string? code
function dns.query(name, type, options) end

return dns
