---@meta
error("a meta file cannot be required")

--- Configuration files from templates and what discovery knows: `orrery render` as functions. The
--- language is that of templates/README.md.
---@class orrery
local orrery = {}

---@class orrery.VariableDeclaration
---@field type? "string"|"number"|"boolean"|"array"|"object"|"service" "string" unless given
---@field required? boolean
---@field default? any
---@field properties? table<string, orrery.VariableDeclaration> of an object
---@field enum? any[]
---@field pattern? string
---@field min? number the least number, or length
---@field max? number
---@field secret? boolean never shown; the file is 0600
---@field doc? string what it is for

---@class orrery.ConfigTemplateArguments
---@field name string what errors call it
---@field description? string
---@field template string|table a text; or a table, which the format writes with its own quoting
---@field variables? table<string, orrery.VariableDeclaration>
---@field outputFormat? "json"|"yaml"|"toml"|"env"|"ini" "json" unless given; or "env:docker" ...
---@field validation? {command: string[]?, minInstances: integer?, maxDrop: number?} a command that
---must accept the file, `${file}` in it, before it replaces the old one; and the guards

---@class orrery.ConfigTemplate
---@field name string
---@field outputFormat string
local ConfigTemplate = {}

--- Its text from variables, and services as they were discovered.
---@async
---@param variables? table<string, any>
---@param discoveredServices? table
---@return string? text or nil, message, code ("invalid"; "pending": a value is not known yet)
---@return string? message
---@return string? code
function ConfigTemplate:processTemplate(variables, discoveredServices) end

--- What is wrong with values of its variables, all of it.
---@param variables? table<string, any>
---@return {valid: boolean, errors: string[]}
function ConfigTemplate:validateVariables(variables) end

--- The text, if it is valid in its format.
---@param text string
---@return string? text or nil, message, "invalid"
---@return string? message
---@return string? code
function ConfigTemplate:generateOutput(text) end

--- Makes a template. What is wrong with it is raised.
---
--- A value that would change the structure of the file is refused, unless it goes through the
--- filter of its format (`${name | env}`); in a template that is a table it never needs one.
---
---```lua
---local template = orrery.mkConfigTemplate {
---  name = "pds", outputFormat = "env",
---  template = "PDS_HOSTNAME=${hostname}\nPDS_PORT=${port}\n",
---  variables = { hostname = { type = "string", required = true },
---    port = { type = "number", default = 3000 } },
---}
---print(template:validateVariables({}).errors[1]) --> Required variable 'hostname' is missing
---print((template:processTemplate { hostname = "pds.example.com" }:gsub("\n", " ")))
-----> PDS_HOSTNAME=pds.example.com PDS_PORT=3000
---```
---@param arguments orrery.ConfigTemplateArguments
---@return orrery.ConfigTemplate
function orrery.mkConfigTemplate(arguments) end

--- The text of a template, with `${service.NAME.FIELD}` from what was discovered: a table by name
--- of an instance or of a list of them, or what `orrery.discovery.open { backend = ... }` opened.
--- A service or field that is not known is an error with its place, never an empty string. The
--- strings of variables and services are values: nothing in them is evaluated.
---
---```lua
---local template = orrery.mkConfigTemplate {
---  name = "pds", outputFormat = "env", template = "PDS_APPVIEW_URL=${service.appview.url}\n" }
---local known = { appview = { address = "10.0.0.7", port = 2584, did = "did:web:appview.test" } }
---print((orrery.processTemplateWithDiscovery(template, {}, known)))
-----> PDS_APPVIEW_URL=http://10.0.0.7:2584
---print(select(3, orrery.processTemplateWithDiscovery(template, {}, {}))) --> pending
---```
---@async
---@param template orrery.ConfigTemplate|orrery.ConfigTemplateArguments
---@param variables? table<string, any>
---@param discoveredServices? table
---@return string? text or nil, message, code ("invalid", "pending")
---@return string? message
---@return string? code
function orrery.processTemplateWithDiscovery(template, variables, discoveredServices) end

---@class orrery.StackConfigService
---@field template? string|orrery.ConfigTemplate the name of one (the service's own), or one
---@field variables? table<string, any>
---@field user? string "root" unless given
---@field group? string the user's unless given

---@class orrery.StackConfigArguments
---@field services table<string, orrery.StackConfigService>
---@field templates? table<string, orrery.ConfigTemplate|orrery.ConfigTemplateArguments>
---@field discoveredServices? table
---@field outputDir? string "/etc/atproto" unless given
---@field write? boolean

---@class orrery.ConfigurationTemplatingArguments
---@field services table<string, orrery.StackConfigService>
---@field templates? table<string, orrery.ConfigTemplate|orrery.ConfigTemplateArguments>
---@field discovery? table the keys of a stack's, or what orrery.discovery.open() gave
---@field discoveredServices? table
---@field outputDir? string
---@field watchPaths? string[]
---@field reloadCommand? string|string[]
---@field wait? number|number[] seconds of quiet after a change, and at most ({0.1, 1})

---@class orrery.StackConfigFile
---@field text string
---@field mode string "0640"; "0600" if a secret is in it
---@field user string
---@field group string
---@field format string
---@field secret boolean

--- The file of each service, `<outputDir>/<service>.<format>`; every problem of every service at
--- once, and then no file. With `write` they are put there: those that differ, each in one step.
---
---```lua
---local templates = { pds = orrery.mkConfigTemplate { name = "pds", outputFormat = "toml",
---  template = { hostname = "${hostname}", plc = "${service.plc.url}" },
---  variables = { hostname = { type = "string", required = true } } } }
---local files = assert(orrery.generateStackConfigs {
---  services = { pds = { variables = { hostname = "pds.test" } } }, templates = templates,
---  discoveredServices = { plc = { url = "https://plc.directory" } } })
---local file = files["/etc/atproto/pds.toml"]
---print(file.mode, file.user) --> 0640 root
---print(file.text:match "plc = .*$") --> plc = "https://plc.directory"
---```
---@async
---@param arguments orrery.StackConfigArguments
---@return table<string, orrery.StackConfigFile>? files by path; or nil, message, code
---@return string? message
---@return string? code
function orrery.generateStackConfigs(arguments) end

---@class orrery.ConfigurationTemplating
local ConfigurationTemplating = {}

--- The files as they should be now, and what keeps others back.
---@async
---@return table<string, orrery.StackConfigFile> files by path
---@return table<string, string>? problems by service
function ConfigurationTemplating:render() end

--- Writes those that differ, and runs reloadCommand once if there are any, or if it failed the last
--- time.
---@async
---@return string[]? paths that changed; or nil, message, code if the command fails
---@return table<string, string>|string|nil problems by service
---@return string? code
function ConfigurationTemplating:write() end

--- Writes, and writes again at every change in discovery and of watchPaths, until close(). What
--- fails is logged and tried again at the next change; reloadCommand also before that, after 1 s,
--- doubling to 60 s.
---@async
---@return true? ok or nil, message, code: a path cannot be watched
---@return string? message
---@return string? code
function ConfigurationTemplating:run() end

--- Ends run(), and what was opened for it.
function ConfigurationTemplating:close() end

--- A templating system: the files of services, kept as their templates and discovery have them.
---
---```lua
---local here = assert(orrery.file.realpath ".")
---local files <close> = assert(orrery.mkConfigurationTemplating {
---  services = { web = {} }, outputDir = here .. "/etc", wait = 0,
---  templates = { web = { name = "web", outputFormat = "env",
---    template = "API=${service.api.url}\n" } },
---  discovery = { backend = "file", filePath = here },
---  reloadCommand = ("echo x >>%s/reloaded"):format(here),
---})
---print((select(2, files:write())).web:match "the url.*yet") --> the url of 'api' is not known yet
---local running = orrery.task.spawn(files.run, files)
---local backend <close> = assert(orrery.discovery.open("file", { filePath = here }))
---assert(backend:register { service = "api", address = "10.0.0.1", port = 80 })
---repeat orrery.time.sleep(0.01) until orrery.file.stat "reloaded"
---print((orrery.file.read "etc/web.env":gsub("\n", ""))) --> API=http://10.0.0.1:80
---files:close()
---print(running:join()) --> true
---```
---@async
---@param arguments orrery.ConfigurationTemplatingArguments
---@return orrery.ConfigurationTemplating? system or nil, message, code
---@return string? message
---@return string? code
function orrery.mkConfigurationTemplating(arguments) end

---@class orrery.UpstreamServer
---@field address string
---@field weight number
---@field max_fails number
---@field fail_timeout string

---@class orrery.LoadBalancer
---@field upstream {name: string, servers: orrery.UpstreamServer[]}[]
---@field strategy string
---@field healthCheck {enabled: boolean, interval: number, timeout: number} seconds: 30, 10
local LoadBalancer = {}

--- The upstreams as a program reads them: `upstream` blocks of nginx, `backend` sections of
--- HAProxy, snippets of Caddy to `import`. Weights that differ need Caddy 2.8.
---@param program "nginx"|"haproxy"|"caddy"
---@return string? text or nil, message, "invalid"
---@return string? message
---@return string? code
function LoadBalancer:text(program) end

--- Upstreams for a load balancer: from `coordination.loadBalancing` {strategy, healthCheckInterval,
--- healthCheckTimeout} and services by name, each an instance, or a list of them as discovery gives
--- it. An instance or its service may set weight (1), maxFails (3), failTimeout ("30s"), a service
--- its healthEndpoint, which has no default. Strategies: round-robin, least-connections, ip-hash,
--- random.
---
---```lua
---local balance = assert(orrery.generateLoadBalancerConfig({}, { pds = { port = 3000 } }))
---print(balance.upstream[1].servers[1].address, balance.strategy) --> 127.0.0.1:3000 round-robin
---print(balance:text("nginx"):match "server [^\n]*")
-----> server 127.0.0.1:3000 weight=1 max_fails=3 fail_timeout=30s;
---```
---@param coordination table
---@param services table<string, table>
---@return orrery.LoadBalancer? balance or nil, message, "invalid"
---@return string? message
---@return string? code
function orrery.generateLoadBalancerConfig(coordination, services) end
