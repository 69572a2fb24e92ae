---@meta
error("a meta file cannot be required")

---The functions of the design that Orrery began with, by their names, arguments and defaults. Each
---takes a table of named arguments and is a face of what the command line runs. What they were
---given wrongly is raised, in the words of that design.
---@class orrery
local orrery = {}

---@class orrery.seed.ServiceDiscovery
---@field backend string
---@field services table
---@field healthCheckInterval number
---@field registrationTtl number
---@field config table<string, table> `{consul = {address, datacenter, enableTLS}}` and so on
---@field discovery table what a stack's `discovery` takes
---@field registerService fun(name: string, service: table): orrery.record?, string?, string? the
---record as a backend keeps it
---@field open async fun(): table?, string?, string? the backend: register, lookup, watch ...

---@class orrery.seed.ServiceCoordination
---@field strategy string
---@field services table
---@field dependencies table
---@field loadBalancing table
---@field config table<string, table> `{hub = {service, failover, heartbeatInterval}}` and so on
---@field coordination table what a stack's `coordination` takes
---@field arguments table as given
---@field resolveDependencies fun(name: string): orrery.seed.Dependency[]
---@field waitForDependencies orrery.seed.Wait waits as a start does: for the required, and within
---the time for the optional

---@alias orrery.seed.Wait async fun(service: string, o?: orrery.seed.WaitOptions): true?, string?

---@class orrery.seed.WaitOptions
---@field timeout? number seconds
---@field tell? fun(text: string) is told how it goes

---@class orrery.seed.DeploymentProfile
---@field name string
---@field description string
---@field networking table with firewall.allowedTCPPorts of the services that say `openFirewall`
---@field toStack fun(): table what a stack file or a profile returns
---@field validate fun(): {valid: boolean, errors: string[]}
---@field load fun(options?: table): orrery.stack.Stack?, string?, string?

---@class orrery.seed.Dependency
---@field name string
---@field type string
---@field timeout number of one try, in seconds
---@field retries integer failures in a row that count
---@field backoff string
---@field healthCheck table empty where nothing is known to look at
---@field config table as given
---@field required? boolean of resolveDependencies

---@class orrery.seed.DependencyGraph
---@field nodes string[]
---@field edges {from: string, to: string, dependency: orrery.seed.Dependency}[]
---@field solve fun(): orrery.graph.plan?, string?, string?
---@field validate fun(): true?, string?, string? code "cycle"
---@field topologicalSort fun(): string[]?, string?, string? dependencies first
---@field getDependencies fun(name: string): table[] edges
---@field getDependents fun(name: string): table[] edges
---@field resolveDependencies fun(name: string): string[]?, string?, string? direct or not

---@class orrery.seed.DependencyManagement
---@field services table
---@field dependencyGraph orrery.seed.DependencyGraph
---@field startupOrder string
---@field startupStrategy string
---@field healthChecks table
---@field resolveDependencies fun(name: string): string[]?, string?, string?
---@field calculateStartupOrder fun(): string[]?, string?, string?
---@field waves fun(): string[][]?, string?, string? what starts together
---@field coordinateHealthChecks async fun(name: string): orrery.seed.Health

---@class orrery.seed.Health
---@field dependenciesHealthy boolean
---@field checks table<string, {ok: boolean, type: string, message: string}>

---@class orrery.seed.HealthCheck
---@field name string "tcp-health-check-database"
---@field spec orrery.check.spec one try
---@field timeout number the longest that run() can take
---@field run async fun(): true?, string, string? tries `retries` times
---@field start fun(): orrery.check.handle on and on
---@field script fun(): string a program for `orrery script` that does what run() does

---@class orrery.seed.DiscoveryArguments
---@field backend? string "consul"
---@field services? table {}
---@field healthCheckInterval? number 30
---@field registrationTtl? number 60
---@field [string] any every key of a stack's `discovery`: consulAddress (127.0.0.1:8500),
---consulDatacenter (dc1), consulEnableTLS, etcdEndpoints ({127.0.0.1:2379}), etcdKeyPrefix
---(/atproto/services), dnsDomain (atproto.local), dnsResolver (127.0.0.1:53), dnsTtl (300),
---filePath (a folder: /etc/atproto/discovery), envPrefix ...; those of other backends are left out

---@class orrery.seed.CoordinationArguments
---@field strategy? string "hub-spoke"
---@field services? table {}
---@field dependencies? table<string, table> {}
---@field loadBalancing? table {}
---@field enableHealthChecks? boolean true
---@field dependencyTimeout? number 60
---@field [string] any hubService (coordinator), hubFailover, heartbeatInterval (10); lockKey
---(/atproto/leader), sessionTtl (15), renewInterval (5); gossipPort (7946), seedNodes,
---encryptionKey; fullMesh, routingTable, convergenceTimeout (30)

---@class orrery.seed.ProfileArguments
---@field name string
---@field description? string
---@field services? table<string, table>
---@field coordination? table of mkServiceCoordination, or as a stack has it
---@field discovery? table of mkServiceDiscovery, or as a stack has it
---@field networking? table
---@field security? table
---@field domain? string
---@field settings? table

---@class orrery.seed.ServiceConfig
---@field port? integer
---@field address? string
---@field tags? string[]
---@field meta? table
---@field did? string

---@class orrery.seed.DependencyArguments
---@field name string
---@field type? string "required"
---@field healthCheck? table {}
---@field timeout? number 30
---@field retries? integer 3
---@field backoff? string "exponential"
---@field config? table
---@field service? table what is known of it: type, port, address

---@class orrery.seed.ManagementArguments
---@field services table
---@field dependencyGraph? table<string, string[]>
---@field startupOrder? string "dependency-first"
---@field startupStrategy? string "sequential", or "parallel"
---@field healthChecks? table<string, table>

---Where services register: the keys of a stack's `discovery` with the seed's defaults. Raises
---`Invalid discovery backend: X. Valid backends: consul dns env etcd file`.
---
---```lua
---local discovery = orrery.mkServiceDiscovery { backend = "file", filePath = "records" }
---local backend <close> = assert(discovery.open())
---local record = assert(discovery.registerService("pds", { port = 3000, tags = { "atproto" } }))
---assert(backend:register(record, discovery.registrationTtl))
---print(assert(backend:lookup("pds"))[1].port) --> 3000
---```
---@param arguments? orrery.seed.DiscoveryArguments
---@return orrery.seed.ServiceDiscovery
function orrery.mkServiceDiscovery(arguments) end

---Who decides, and what waits for what. Raises `Invalid coordination strategy: X. Valid strategies:
---hub-spoke leader-follower mesh peer-to-peer`, unless there is a file strategies/X.lua.
---
---```lua
---local coordination = orrery.mkServiceCoordination {
---  services = { database = { port = 5432 } },
---  dependencies = { pds = { "database" } },
---}
---print(coordination.config.hub.service) --> coordinator
---local database = coordination.resolveDependencies("pds")[1]
---print(database.name, database.required, database.healthCheck.strategy) --> database true tcp
---```
---@param arguments? orrery.seed.CoordinationArguments
---@return orrery.seed.ServiceCoordination
function orrery.mkServiceCoordination(arguments) end

---A whole stack under a name.
---
---```lua
---local profile = orrery.mkDeploymentProfile {
---  name = "mine",
---  services = { app = { exec = { "sleep", "60" }, port = 8080, openFirewall = true } },
---  discovery = orrery.mkServiceDiscovery { backend = "env" },
---}
---print(profile.validate().valid, profile.networking.firewall.allowedTCPPorts[1]) --> true 8080
---print(profile.load():plan().order[1]) --> app
---```
---@param arguments orrery.seed.ProfileArguments
---@return orrery.seed.DeploymentProfile
function orrery.mkDeploymentProfile(arguments) end

---What a backend really gets when a service is registered: consul `{service}`, etcd `{key, value,
---lease}`, dns `{records}`, file `{<name> = record}`, env the variables. Nobody is asked.
---
---```lua
---local discovery = orrery.mkServiceDiscovery { backend = "env" }
---local variables = orrery.generateDiscoveryConfig(discovery, "pds", { port = 3000 })
---print(variables.ATPROTO_SERVICE_PDS_PORT) --> 3000
---```
---@param discovery orrery.seed.ServiceDiscovery
---@param serviceName string
---@param serviceConfig orrery.seed.ServiceConfig
---@return table?
---@return string? message
---@return string? code "invalid"
function orrery.generateDiscoveryConfig(discovery, serviceName, serviceConfig) end

---One dependency, with the check that decides about it. Without a strategy it is that of the
---service's type (`/xrpc/_health` for a pds), else whether its port answers: there is no default
---path. Raises `Invalid dependency type: X. Valid types: circular optional required soft`.
---
---```lua
---local dependency = orrery.mkDependency { name = "pds", service = { port = 3000 } }
---print(dependency.type, dependency.timeout, dependency.retries) --> required 30 3
---print(dependency.healthCheck.endpoint) --> /xrpc/_health
---```
---@param arguments orrery.seed.DependencyArguments
---@return orrery.seed.Dependency
function orrery.mkDependency(arguments) end

---The graph of services. `dependencies` of each is a list of names or tables, or a map by name.
---
---```lua
---local graph = orrery.mkDependencyGraph {
---  database = {}, pds = { dependencies = { "database" } },
---  appview = { dependencies = { "database", "pds" } },
---}
---print(table.concat(graph.topologicalSort(), " ")) --> database pds appview
---print(orrery.mkDependencyGraph { a = { dependencies = { "b" } },
---  b = { dependencies = { "a" } } }.validate()) --> nil Circular dependency detected: ... cycle
---```
---@param services table<string, table>
---@return orrery.seed.DependencyGraph
function orrery.mkDependencyGraph(services) end

---The order in which services start, and the checks between them. Raises `Invalid startup order: X.
---Valid orders: dependency-first parallel manual`.
---
---```lua
---local management = orrery.mkDependencyManagement {
---  services = { a = {}, b = { dependencies = { "a" } }, c = { dependencies = { "a" } } },
---  startupStrategy = "parallel",
---}
---print(table.concat(management.calculateStartupOrder(), " ")) --> a b c
---print(#management.waves()) --> 2
---```
---@param arguments orrery.seed.ManagementArguments
---@return orrery.seed.DependencyManagement
function orrery.mkDependencyManagement(arguments) end

---The check of a dependency, which runs.
---
---```lua
---local check = orrery.mkHealthCheck {
---  name = "root", healthCheck = { strategy = "file", path = "/" }, timeout = 5,
---}
---print(check.name, check.run()) --> file-health-check-root true ...
---```
---@param dependency table as for mkDependency, or what it made
---@return orrery.seed.HealthCheck
function orrery.mkHealthCheck(dependency) end

---A graph as Markdown: the startup order, and what each service needs and is needed by.
---
---```lua
---local graph = orrery.mkDependencyGraph { a = {}, b = { dependencies = { "a" } } }
---print(orrery.generateDependencyDocs(graph):match("Startup Order\n([^\n]*)")) --> a → b
---```
---@param graph orrery.seed.DependencyGraph
---@return string?
---@return string? message
---@return string? code "cycle"
function orrery.generateDependencyDocs(graph) end

---A program that waits until a service may start, for `orrery script` or to be run as it is.
---
---```lua
---local script = orrery.generateCoordinationScript(orrery.mkServiceCoordination {
---  dependencies = { pds = { { name = "root",
---    healthCheck = { strategy = "file", path = "/" } } } },
---}, "pds")
---orrery.file.write("wait.lua", script)
---assert(loadfile "wait.lua")()
-----> Starting coordination for service: pds
-----> Waiting for dependency: root
-----> Dependency root is ready
-----> All dependencies ready, starting pds
---```
---@param coordination orrery.seed.ServiceCoordination
---@param serviceName string
---@return string?
---@return string? message
---@return string? code
function orrery.generateCoordinationScript(coordination, serviceName) end

return orrery
