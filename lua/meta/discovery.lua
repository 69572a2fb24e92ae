---@meta
error("a meta file cannot be required")

--- Where instances are registered and looked up. Each verb is one shot; the loops that renew and
--- watch are in lua/orrery/discovery.lua. Not every backend has locks, or keys and values: see
--- `capabilities`.
---
--- ```lua
--- local backend <close> = assert(orrery.discovery.open("file", { filePath = "records" }))
--- assert(backend:register({ service = "pds", address = "10.0.0.1", port = 3000 }, 60))
--- for _, record in ipairs(assert(backend:lookup "pds")) do
---   print(record.service, record.address, record.port) --> pds 10.0.0.1 3000
--- end
--- ```
---@class orrery.discovery
local discovery = {}

--- One instance of a service. It carries no secrets.
---@class orrery.record
---@field service string up to 63 letters, digits and . _ -
---@field id? string "pds@edge"; made from service and node unless given
---@field node? string
---@field address string a host name or an IP address
---@field port? integer 1 to 65535; none if it listens on none
---@field scheme? string
---@field did? string
---@field tags? string[] at most 64
---@field meta? table<string, string> at most 64
---@field status? string "passing" unless given
---@field revision? integer set by the backend: grows with each change, not when renewed
---@field source? string set by the backend: its kind

---@class orrery.backend
---@field kind string
---@field capabilities {watch: boolean, lock: boolean, kv: boolean}
local Backend = {}

--- Registers a record, or replaces the one with its id.
---
--- With a ttl the record goes when it is not renewed in time. It also goes with this process,
--- unless `owner = false`, until another process renews it (the file backend; only readers on this
--- machine can tell). Without a ttl it stays until it is deregistered.
---
---     local r = {service = "pds", node = "edge", address = "10.0.0.1", port = 3000}
---     assert(backend:register(r, 60))
---@async
---@param record orrery.record
---@param ttl? number seconds
---@param options? {owner?: boolean}
---@return true? ok or nil, message, code
---@return string? message
---@return string? code
function Backend:register(record, ttl, options) end

--- What register would write where nothing is yet, for people to look at; nobody is asked. consul:
--- the body of the request; etcd: key, value and lease; dns: the zone's records; else the record.
---
---```lua
---local b <close> = assert(orrery.discovery.open("etcd", { etcdEndpoints = "a:2379" }))
---local sent = b:sketch({ service = "pds", node = "edge", address = "10.0.0.1", port = 3000 }, 60)
---print(sent.key, sent.lease) --> /atproto/services/pds/pds@edge 60
---```
---@param record orrery.record
---@param ttl? number seconds
---@return table? sketch or nil, message, "invalid"
---@return string? message
---@return string? code
function Backend:sketch(record, ttl) end

--- Extends a record by the ttl it was registered with; this process owns it from now on.
---@async
---@param service string
---@param id string
---@return true? ok or nil, message, "not_found": it has expired, register it again
---@return string? message
---@return string? code
function Backend:renew(service, id) end

--- Removes a record. One that is not there is fine.
---@async
---@param service string
---@param id string
---@return true? ok
---@return string? message
---@return string? code
function Backend:deregister(service, id) end

--- The instances of a service, in the order of their ids, and a cursor that names this answer. With
--- a cursor it waits while the answer is still that one, and at the timeout gives the same again.
--- What cannot be read is an error, never an empty list.
---
---     local records, cursor = backend:lookup("pds")
---     records, cursor = backend:lookup("pds", cursor, 300)   -- returns when something has changed
---@async
---@param service string
---@param cursor? string
---@param timeout? number seconds, 60 unless given
---@return orrery.record[]? records or nil, message, code
---@return string? cursor or the message
---@return string? code
function Backend:lookup(service, cursor, timeout) end

--- The names of the services that have an instance, sorted.
---@async
---@return string[]? names or nil, message, code
---@return string? message
---@return string? code
function Backend:services() end

--- Takes a lock that is lost unless it is renewed within `ttl`, at best each third of it. While it
--- is held, readers of the key see `value`. Who acts under a lock passes the token along: each
--- holder has a higher one than the holder before it.
---
---     local held = assert(backend:lock("/atproto/leader", {value = "edge", timeout = 60}))
---     print(held.token)
---     assert(backend:unlock("/atproto/leader", held.lock))
---@async
---@param key string a path: up to 512 printable ASCII characters without spaces
---@param options? {ttl?: number, value?: string, timeout?: number} seconds: 15; "" ; 0, to wait
---@return {lock: string, token: integer}? held or nil, message, code: "exists": another holds it;
---"invalid": the backend has no locks
---@return string? message
---@return string? code
function Backend:lock(key, options) end

--- Extends a lock by its ttl.
---@async
---@param lock string as lock() gave it
---@return true? ok or nil, message, "not_found": it is lost
---@return string? message
---@return string? code
function Backend:renew_lock(lock) end

--- Releases a lock. One that is lost already is fine.
---@async
---@param key string
---@param lock string as lock() gave it
---@return true? ok
---@return string? message
---@return string? code
function Backend:unlock(key, lock) end

--- The value of a key, and a cursor that names this answer; with a cursor it waits as lookup().
--- A key that does not exist has no value.
---@async
---@param key string
---@param cursor? string
---@param timeout? number seconds, 60 unless given
---@return {value: string?, revision: integer}? found or nil, message, code
---@return string? cursor or the message
---@return string? code
function Backend:kv_get(key, cursor, timeout) end

--- Writes a key. With a revision only while the key has it (0: while it does not exist). A key that
--- a lock holds stays held, and goes with the lock.
---@async
---@param key string
---@param value string at most 512 KiB
---@param revision? integer
---@return integer? revision the new one; or nil, message, code: "exists": it has another revision
---@return string? message
---@return string? code
function Backend:kv_put(key, value, revision) end

--- Deletes a key. One that is not there is fine, unless a revision is given.
---@async
---@param key string
---@param revision? integer
---@return true? ok or nil, message, code: "exists": it has another revision
---@return string? message
---@return string? code
function Backend:kv_delete(key, revision) end

--- Ends the backend; waiting calls return nil, "closed", "closed". Registered records stay.
function Backend:close() end

--- Opens a backend. Nobody is asked yet: one that cannot be reached is told by the verbs. Options
--- that this kind does not read are refused.
---
--- file: `filePath`, the folder (made if missing, 0755). It holds `<service>.json` files, which
--- people may write too: `{"address": "10.0.0.1", "port": 3000}`, a list of such, or in a file of
--- any name `{"pds": {"address": "10.0.0.1", "port": 3000, "tags": ["main"]}}`.
---
--- env: `envFile`, what is exported to and read from (0640; `. file` in sh reads it), beside this
--- process's own environment; without one, what is registered is known to this process only.
--- `envPrefix` is how the variables' names begin.
---
--- etcd: `etcdEndpoints`, a list or text of `host:port` or URLs, of which the first that answers is
--- used; `etcdKeyPrefix` ("/atproto/services"); `etcdUser` with `etcdPassword` or
--- `etcdPasswordFile`; `etcdEnableTLS`, `etcdCaFile`, `etcdCertFile`, `etcdKeyFile`,
--- `etcdServerName`. etcd 3.4 or later. While it has no leader, a lookup that does not wait gives
--- what one server last knew; what waits or writes fails after some seconds, code "timeout".
---
--- dns: `dnsDomain`, below which the records are; `dnsResolver`, the address (or several) of who is
--- asked, the system's unless given; `dnsServer`, who takes updates (the first resolver);
--- `dnsKeyFile`, the TSIG key that signs them; `dnsUpdate = false` only reads; `dnsTtl`, seconds
--- (5). A change is seen when the answer before has outlived its lifetime. The records are shown in
--- backends/README.md.
--- consul: `consulAddress`, "host:port" or a URL, several as a list or apart by commas
--- ("127.0.0.1:8500"); it stays with the one that answered last. `consulDatacenter`; `consulToken`,
--- or `consulTokenFile`, which is read each time; `consulEnableTLS`, `consulCaFile`,
--- `consulCertFile`, `consulKeyFile`, `consulServerName`; `consulStale = true` lets any server
--- answer, even without a leader; `consulConsistent = true` takes no answer but of a leader that
--- has made sure that it still is: slower, and an error without a majority. A lock's ttl is from
--- 10 s to a day there, and another gets a lock that was not given back after two to three of
--- them. That a record is registered does not mean that it is visible already.
---
--- A table of the keys of a stack's `discovery` (`{backend = "consul", fallback = {"file"}}`) opens
--- all that it names as one: registering goes to each, looking to the first that answers; it also
--- has watch(service), whose next([timeout]) gives records whenever they differ.
---@param kind string|table
---@param options? table
---@return orrery.backend? backend or nil, message, code
---@return string? message
---@return string? code
function discovery.open(kind, options) end

--- The options that a kind of backend reads.
---@param kind string
---@return string[]? keys or nil, message, code
---@return string? message
---@return string? code
function discovery.options(kind) end

--- A record as the backends read it: checked and bounded, with its id, tags, meta and status filled
--- in. For records that come from elsewhere.
---@param record table
---@return orrery.record? record or nil, "port: must be ...", "invalid"
---@return string? message
---@return string? code
function discovery.record(record) end

--- Records as the env backend writes them: `{ATPROTO_SERVICE_PDS_URL = "http://..."}`. How names
--- are made is told in backends/README.md.
---
---     local env = orrery.discovery.environment(assert(backend:lookup("pds")))
---@param records orrery.record[]
---@param prefix? string "ATPROTO_SERVICE_" unless given
---@return table<string, string>? variables or nil, message, "invalid"
---@return string? message
---@return string? code
function discovery.environment(records, prefix) end

--- The backends there are.
---@return string[]
function discovery.kinds() end

return discovery
