---@meta
error("a meta file cannot be required")

---What a Lua stack file, a profile or a type may call beyond plain Lua, and what the functions in
---them get. They are evaluated without I/O, clock and waiting.
---
---    ---@type orrery.Stack
---    local stack = {
---      profile = "simple-pds",
---      domain = env("DOMAIN", "localhost"),
---      services = {
---        hello = {
---          exec = { "hello", "--port", "${port}" },
---          env = { TOKEN = secret { file = "/etc/hello/token" } },
---          healthCheck = { strategy = "tcp", interval = 5 },
---        },
---      },
---    }
---    return stack

---A value that is never shown: `***` wherever it is printed. Concatenating keeps it one; it is
---refused where others could read it, as in `exec`.
---@class orrery.Secret
---@operator concat(string|orrery.Secret): orrery.Secret

---Where a secret is from: one of the four.
---@class orrery.SecretSource
---@field file? string the file that has it
---@field env? string the environment variable that has it
---@field command? string the command that prints it
---@field generate? "k256"|string how it is made, once: hex:N, base64:N (N bytes) or k256
---@field name? string under which a generated one is kept in the state folder

---A secret, which only the agent resolves. In YAML and JSON: `{secret: {file: ...}}`.
---
---    env = { PASSWORD = secret { generate = "hex:16", name = "password" } }
---@param source orrery.SecretSource
---@return orrery.Secret
function secret(source) end

---A variable of Orrery's own environment; of the kind of the default (a number, a boolean), if there
---is one. One that is not set and has no default is an error. In YAML and JSON:
---`{env: NAME, default: ...}`.
---
---    port = env("PORT", 3000)
---@param name string
---@param default? string|number|boolean
---@return any value
function env(name, default) end

---What a profile or a type may look at: the stack as the user wrote it, and what is known of it.
---
---    ---@param stack orrery.StackFacts
---    ---@return orrery.Stack
---    return function(stack)
---      return { services = { cache = { enable = stack.isLocal } } }
---    end
---@class orrery.StackFacts: orrery.Stack
---@field name string
---@field domain string
---@field isLocal boolean the domain is localhost, *.localhost, *.local, *.test or *.internal
---@field node string this machine's node
---@field services table<string, orrery.Service>
---@field settings table<string, any>

---What a file of profiles/ returns.
---@alias orrery.Profile orrery.Stack|fun(stack: orrery.StackFacts): orrery.Stack

---What a file of types/ returns: a service with nothing filled in.
---@alias orrery.Type orrery.Service|fun(service: orrery.Service, stack: orrery.StackFacts): orrery.Service

---What a file of filters/ returns. It refuses a value by error().
---@alias orrery.Filter fun(value: any, ...: any): any

---What a file of formats/ returns: text to a value and back.
---@class orrery.Format
---@field read fun(text: string): any, string?, integer? the value; or nil, what is wrong, its line
---@field write fun(value: any): string?, string? the text; or nil and what is wrong

---A function that is a hook of a Lua stack. It fails by error(), or by returning nil and a message.
---@alias orrery.HookFunction async fun(ctx: orrery.HookContext, instance: orrery.HookInstance): any, string?

---A function that is a check (`run`): true if it passes, else nil and what is wrong. It waits only
---through `ctx`, and is ended at its timeout.
---
---    run = function(ctx, instance)
---      return ctx.net.connect(instance.address, instance.port)
---    end
---@alias orrery.CheckFunction async fun(ctx: orrery.CheckContext, instance: orrery.CheckInstance, options: table<string, any>): boolean?, string?

---What a file of checks/ returns.
---@class orrery.CheckPlugin
---@field options? table<string, any> their defaults; others are refused
---@field run orrery.CheckFunction

---What a check and a backend reach the world through.
---@class orrery.CheckContext
---@field http orrery.http its request, get and post
---@field net orrery.net its connect
---@field dns orrery.dns its resolve and query
---@field process orrery.process its run, as the service's user
---@field time orrery.time its sleep, now and monotonic
---@field json orrery.json its encode, decode and null

---The instance that is checked.
---@class orrery.CheckInstance
---@field id string
---@field service string
---@field address string
---@field port? integer
---@field ports table<string, integer>
---@field url? string
---@field pid? integer
---@field dirs {data: string, config: string, logs: string, package: string?}

---What a file of strategies/ returns: at least one of its functions, which wait only through `ctx`,
---for ten seconds each.
---
---    return {
---      options = { from = 7, to = 22 }, -- hours, UTC
---      may_start = function(ctx, instance)
---        local hour = ctx.time.now() // 3600 % 24
---        if hour >= ctx.options.from and hour < ctx.options.to then return true end
---        return false, instance.service .. " starts in the daytime"
---      end,
---    }
---@class orrery.StrategyPlugin
---@field options? table<string, any> their defaults; `coordination.options` are laid over them
---@field decides? async fun(ctx: orrery.StrategyContext): boolean|string|nil, string? true, or the name of the node that decides; else nil and why nobody does
---@field may_start? async fun(ctx: orrery.StrategyContext, instance: orrery.StrategyInstance): boolean?, string? true, or false and why not
---@field members? async fun(ctx: orrery.StrategyContext): string[] the nodes that are there now
---@field lost? async fun(ctx: orrery.StrategyContext, node: string) a node is no longer among them
---@field retry? number seconds from a refusal to the next question (1)
---@field interval? number seconds between two looks at the members (10)

---@class orrery.StrategyContext: orrery.CheckContext
---@field node string this machine's
---@field nodes string[] the names of all
---@field stack string its name
---@field options table<string, any>
---@field services fun(): orrery.StrategyService[] the instances of this node
---@field discovery table<string, function> lookup, services, lock, renew_lock, unlock, kv_get, kv_put, kv_delete

---@class orrery.StrategyService
---@field id string
---@field service string
---@field state string
---@field health string
---@field desired string

---@class orrery.StrategyInstance
---@field id string
---@field service string
---@field address string
---@field port? integer
---@field tags string[]

---What a file of backends/ returns.
---@class orrery.BackendPlugin
---@field options? table<string, any> their defaults; `discovery.options` are laid over them
---@field capabilities? {watch?: boolean, lock?: boolean, kv?: boolean}
---@field open fun(ctx: orrery.CheckContext, options: table<string, any>): table the verbs of orrery.discovery.Backend
