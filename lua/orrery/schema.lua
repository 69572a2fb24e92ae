--- schema -- every key of a stack, its kind, unit, default and meaning. Data only: validate.lua
-- reads it, and so do `schema`, `config` and the documentation.
--
-- A node: {type, doc} and, by type,
--   string   enum, later (values a later version will know), pattern + says, known (values among
--            others), secret (may be one), private (is one, however it is written)
--   number, integer, seconds   min, max, above (exclusive)
--   boolean, any, mode (octal text -> integer), signal, function (in Lua stacks)
--   list     of, nonempty, most (items), rising (numbers, none below the one before it)
--   map      of, keys = {pattern, says}, listed_by (its list form; a plain string is that field)
--   object   fields, later (known keys that no version implements yet), finish (see shorthand.lua)
--            (of_backend: the only discovery backend that a field is for)
--   either   of = {nodes}, expects = text
-- A `default` is filled in after all layers are merged.
local M = {}

local function node(type, doc, more)
  local result = { type = type, doc = doc }
  for key, value in pairs(more or {}) do result[key] = value end
  return result
end

local function text(doc, more) return node("string", doc, more) end
local function flag(doc, more) return node("boolean", doc, more) end
local function seconds(doc, more) return node("seconds", doc, more) end
local function integer(doc, min, max, more)
  local result = node("integer", doc, more)
  result.min, result.max = min, max
  return result
end
local function list(of, doc, more)
  local result = node("list", doc, more)
  result.of = of
  return result
end
local function enum(values, doc, more)
  local result = node("string", doc, more)
  result.enum = values
  return result
end
-- The words of a text, each true.
local function set_of(names)
  local set = {}
  for name in names:gmatch("%S+") do set[name] = true end
  return set
end

local ENABLE = flag("false removes it")
local PORT = integer("a TCP port", 1, 65535)
local ARGV = list(text("an argument", { argv = true }), "a program and its arguments",
  { nonempty = true })
local MODE = node("mode", 'permissions as octal text, such as "0640"')
local SIGNAL = enum({ "TERM", "INT", "QUIT", "HUP", "KILL", "USR1", "USR2" }, "a signal")

M.SERVICE_NAME = { pattern = "^[a-z0-9][a-z0-9.-]*$", max = 63,
  says = 'use lower-case letters, digits, "." and "-", and begin with a letter or digit' }
M.STACK_NAME = { pattern = "^[a-z0-9-]+$", max = 32,
  says = 'use 1 to 32 lower-case letters, digits and "-"' }
M.VARIABLE_NAME = { pattern = "^[%a_][%w_]*$", max = 64,
  says = 'use letters, digits and "_", and begin with a letter' }
M.FILE_NAME = { pattern = "^[^%c]+$", max = 255, path = true,
  says = 'use a path without ".." inside the service\'s configuration folder' }

local ANY_NAME = { pattern = "^[^%c]+$", max = 255, says = "use printable characters" }

local COMMAND = node("either", "a program and its arguments, or a line for the shell",
  { of = { text("a line for the shell", { argv = true }), ARGV }, expects = "a string or a list" })

local FUNCTION = node("function", "a function of a Lua stack")

local HOOK = node("either", "a command or a function around its life", {
  of = { ARGV, FUNCTION, node("object", "a hook with its own deadline", { fields = {
    command = ARGV, run = FUNCTION, timeout = seconds("that it may take", { above = 0 }) } }) },
  expects = "a list, a function, or a table with command (or run) and timeout" })

local STATUS = node("either", 'a status, a range such as "200-299", or a list of them', {
  of = { integer("a status", 100, 599),
    text("a range", { pattern = "^%d%d%d%-%d%d%d$", says = 'a range such as "200-299"' }) },
  expects = 'a status or a range such as "200-299"' })

local UNIT_STATE = enum({ "active", "reloading", "inactive", "failed", "activating", "deactivating",
  "maintenance" }, "a unit's state")

local FILE_OR_PATH = "a path the agent reads"

-- Built in; any other is a file of checks/.
M.check_strategies = { "http", "tcp", "command", "file", "systemd" }

M.check = node("object", "a health check", {
  fields = {
    enable = ENABLE,
    name = text("the check's name, in a list of checks"),
    strategy = text("how it is done: " .. table.concat(M.check_strategies, ", ") ..
      ", or a file of checks/", { pattern = "^[%w_./-]+$", says = "the name of a strategy",
        known = M.check_strategies }),
    run = FUNCTION,
    options = node("map", "what a check of checks/ is told", { keys = ANY_NAME,
      of = node("any", "a value") }),
    role = enum({ "ready", "live", "report" },
      "ready gates dependents, live restarts, report only reports"),
    interval = seconds("between the starts of two tries", { min = 0.01, default = 10 }),
    timeout = seconds("bounds one try", { above = 0, default = 30 }),
    rise = integer("passes in a row that make it pass", 1, 1000, { default = 1 }),
    fall = integer("failures in a row that make it fail", 1, 1000, { default = 3 }),
    retries = integer("the same as fall", 1, 1000, { alias = "fall" }),
    startPeriod = seconds("after the start, in which failures do not count (dependencyTimeout)",
      { min = 0 }),
    backoff = enum({ "exponential", "linear", "constant" }, "spaces the tries until the first pass",
      { default = "exponential" }),
    url = text("http: the whole URL", { secret = true }),
    host = text("the host, if it is not the service's address"),
    port = node("either", "the port, if it is not the service's", { of = { PORT,
      text("a template", { pattern = "^%${.*}$", says = "a port" }) }, expects = "a number" }),
    scheme = enum({ "http", "https" }, "http: the scheme"),
    endpoint = text("http: the path and query", { pattern = "^[/$]", says = 'begin it with "/"' }),
    method = enum({ "GET", "HEAD", "POST", "PUT", "OPTIONS" }, "http: the method"),
    headers = node("map", "http: request headers", { keys = ANY_NAME,
      of = text("a header's value", { secret = true }) }),
    body = text("http: the request's body", { secret = true }),
    expectedStatus = node("either", "http: what counts as healthy (200)", {
      of = { STATUS.of[1], STATUS.of[2], list(STATUS, "several") },
      expects = 'a status, a range such as "200-299" or a list of them' }),
    expectBody = text("http: a text that the body contains"),
    expectJson = node("map", "http: JSON pointer = value", { keys = ANY_NAME,
      of = node("any", "the value there") }),
    tls = node("object", "http, tcp: how TLS is done; a tcp check shakes hands first", { fields = {
      ca = text(FILE_OR_PATH), cert = text(FILE_OR_PATH), key = text(FILE_OR_PATH),
      serverName = text("the name in the certificate"),
      verify = flag("false trusts any certificate"),
    } }),
    followRedirects = flag("http: follow them"),
    maxBytes = integer("http: the longest answer, in bytes", 1, 64 * 1024 * 1024),
    reuse = flag("http: keep the connection open between tries"),
    send = text("tcp: bytes to send first"),
    expect = text("tcp: bytes to wait for"),
    command = COMMAND,
    expectedExit = integer("command: the exit code that passes (0)", 0, 255),
    env = node("map", "command: its environment", { keys = ANY_NAME,
      of = text("a value", { secret = true, scalar = true }) }),
    cwd = text("command: its folder"),
    user = text("command: as this user; file: who must be able to write"),
    path = text("file: the file or folder that must exist"),
    contains = text("file: a text it contains"),
    maxAge = seconds("file: since it was last written", { above = 0 }),
    minSize = integer("file: its size in bytes", 0, math.maxinteger),
    writable = flag("file: the folder can be written to"),
    minFree = integer("file: free bytes on its file system", 0, math.maxinteger),
    unit = text("systemd: the unit; .service unless it says what it is",
      { pattern = "^[%w:_.@\\${}%-]+$", says = "the name of a unit, such as nginx.service" }),
    expectedState = node("either", "systemd: the state, or several, that it may be in (active)", {
      of = { UNIT_STATE, list(UNIT_STATE, "several") },
      expects = "a state such as active, or a list of them" }),
  },
})

-- Which keys of a check belong to which strategy; those not listed belong to all.
M.check_keys = {
  http = set_of("url host port scheme endpoint method headers body expectedStatus expectBody " ..
    "expectJson tls followRedirects maxBytes reuse"),
  tcp = set_of("host port send expect tls"),
  command = set_of("command expectedExit env cwd user"),
  file = set_of("user path contains maxAge minSize writable minFree"),
  systemd = set_of("unit expectedState"),
}

M.dependency = node("object", "an edge of the graph", {
  fields = {
    enable = ENABLE,
    name = text("the service depended on"),
    type = enum({ "required", "optional", "soft", "circular" }, "what the dependency means",
      { default = "required" }),
    timeout = seconds("overrides dependencyTimeout for this one", { above = 0 }),
    healthCheck = M.check,
    discover = flag("it is a group that discovery knows, in this stack or elsewhere"),
    min = integer("discover: passing instances that it takes (1)", 1, 1000),
    tag = text("discover: that an instance must carry to count"),
  },
})

M.variable = node("object", "a variable of a service or of one file", {
  fields = {
    type = enum({ "string", "number", "boolean", "array", "object", "service" }, "its type",
      { default = "string" }),
    doc = text("what it is for"),
    description = text("the same"),
    required = flag("it has no default and must be set"),
    default = node("any", "its value when settings have none"),
    enum = list(node("any", "a value"), "the values it may have"),
    min = node("number", "the least number, or length"),
    max = node("number", "the greatest number, or length"),
    pattern = text("a regular expression that a whole string must match"),
    secret = flag("never shown; files with it are 0600"),
    generate = text("how a secret is made: hex:N, base64:N or k256",
      { pattern = "^%w+:?%d*$", says = "one of hex:N, base64:N, k256" }),
    rotate = flag("false: never replace it, others depend on the value"),
  },
})
M.variable.fields.properties = node("map", "the fields of an object", { keys = M.VARIABLE_NAME,
  of = M.variable })

local VARIABLES = node("map", "declarations",
  { default = {}, keys = M.VARIABLE_NAME, of = M.variable })

local RELOAD_OBJECT = node("object", "how a changed file is taken up", { fields = {
  signal = SIGNAL, command = ARGV, restart = flag("restart the service"),
} })

M.config = node("object", "a file that is rendered for a service", {
  fields = {
    enable = ENABLE,
    template = text("the text of the template"),
    source = text("the template's file: a name found as a template, or a path"),
    data = node("any", "a table that the format writes"),
    variables = VARIABLES,
    format = text("the file's format: text, or a file of formats/ (by the file's ending)"),
    mode = MODE,
    owner = text("the file's user"),
    check = ARGV,
    reload = node("either", "how a changed file is taken up", {
      of = { enum({ "restart", "none" }, "restart the service, or do nothing"), RELOAD_OBJECT },
      expects = '"restart", "none", {signal = ...} or {command = ...}' }),
    wait = node("either", "seconds of quiet after a change before it is written again, and the " ..
      "most after the first one ({0.1, 1}); 0: at once", {
      of = { node("number", "seconds of quiet", { min = 0, max = 3600 }),
        list(node("number", "seconds", { min = 0, max = 3600 }), "quiet, and the most",
          { nonempty = true, most = 2, rising = true }) },
      expects = "seconds, or a list of two" }),
    backups = integer("how many earlier files are kept beside it, as .bak, .bak.2 ... (1)", 0, 100),
    minInstances = integer("it waits for so many of each service whose instances it lists", 0,
      10000),
    maxDrop = node("number", "the most of the instances it lists that may go at once: a number, " ..
      "or below 1 a share", { above = 0, max = 10000 }),
  },
})

local EXIT = node("either", "an exit code, a range of codes, or a signal", {
  of = { integer("an exit code", 0, 255),
    text("a range", { pattern = "^%d+%-%d+$", says = 'a range such as "100-110"' }),
    enum({ "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV",
      "USR2", "PIPE", "ALRM", "TERM", "XCPU", "XFSZ", "SYS" }, "the signal that ended it") },
  expects = 'an exit code, a range such as "100-110", or a signal such as "TERM"' })

local function exits(doc)
  return node("either", doc, { of = { EXIT.of[1], EXIT.of[2], EXIT.of[3], list(EXIT, "several") },
    expects = EXIT.expects .. ", or a list of them" })
end

M.service = node("object", "a named part of the stack", {
  later = set_of("nodes"),
  fields = {
    enable = ENABLE,
    type = text("what the service is: a file of types/"),
    external = flag("runs elsewhere; only looked at", { default = false }),
    embedded = flag("part of another service: no process of its own", { default = false }),
    oneshot = flag("runs once; its success counts as healthy", { default = false }),
    package = node("object", "what is installed for it", { fields = {
      npm = text("the package's name"), version = text("its version"),
    } }),
    replicas = integer("copies on a node; copy i gets port + i", 1, 100, { default = 1 }),
    bind = text("the address it listens on (its node's address, else 127.0.0.1)"),
    address = text("the address others reach it at"),
    port = node("either", "the port it listens on", {
      of = { PORT, enum({ "auto" }, "a free one") }, expects = 'a number or "auto"' }),
    ports = node("map", "further ports by name",
      { default = {}, keys = M.VARIABLE_NAME, of = PORT }),
    scheme = text("the scheme of its url", { default = "http" }),
    hostname = text("the name it is known by"),
    url = text("where others reach it", { secret = true }),
    publicUrl = text("where the world reaches it"),
    did = text("its DID"),
    tags = list(text("a tag"), "tags of its record", { default = {} }),
    meta = node("map", "fields of its record",
      { default = {}, keys = ANY_NAME, of = text("a value", { scalar = true }) }),
    exec = ARGV,
    env = node("map", "environment variables",
      { default = {},
        keys = { pattern = "^[%a_][%w_]*$", max = 255, says = "use letters, digits and \"_\"" },
        of = text("a value", { secret = true, scalar = true }) }),
    envFile = text("a file of NAME=value lines, in the configuration folder unless absolute"),
    cwd = text("the folder it runs in (its data folder)"),
    user = text("the user it runs as"),
    group = text("the group it runs as"),
    umask = node("mode", 'octal text, such as "027"'),
    limits = node("map", "resource limits: nofile, core ...",
      { default = {}, keys = { pattern = "^[a-z]+$", max = 16, says = "a name such as nofile" },
        of = integer("the limit", 0, math.maxinteger) }),
    readyWhen = node("either", "its check, READY=1 by sd_notify, that it runs, " ..
      "or a plain text in a line of its output", {
      of = { enum({ "check", "notify", "started" }, "what makes it ready"),
        text("a line with this text", { pattern = "^log:.", max = 1028,
          says = 'use "log:" and a text' }) },
      expects = '"check", "notify", "started" or "log:<text>"' }),
    logs = node("object", "its log file", { fields = {
      maxBytes = integer("rotated at this size", 4096, 1 << 40),
      keep = integer("old files kept", 0, 1000),
    } }),
    hooks = node("object", "commands around its life", { default = {}, fields = {
      timeout = seconds("that a hook may take (60)", { above = 0 }),
      beforeStart = HOOK, afterStart = HOOK, onHealthy = HOOK, onUnhealthy = HOOK,
      beforeStop = HOOK, afterStop = HOOK } }),
    restart = node("object", "what happens when it ends", { default = {}, fields = {
      policy = enum({ "always", "on-failure", "never" },
        "when it is started again (always; on-failure for a oneshot)"),
      max = integer("restarts within the window before it counts as failed", 0, 10000,
        { default = 10 }),
      window = seconds("the window of max", { above = 0, default = 600 }),
      backoff = list(node("number", "seconds", { above = 0, max = 86400 }),
        "the first and the longest pause, in seconds", { default = { 0.5, 60 } }),
      successExit = exits("counts as success, as 0 does"),
      preventExit = exits("never starts it again, whatever the policy"),
      forceExit = exits("starts it again, whatever the policy"),
    } }),
    stop = node("object", "how it is stopped", { default = {}, fields = {
      signal = enum(SIGNAL.enum, "the signal", { default = "TERM" }),
      timeout = seconds("until it is killed", { above = 0, default = 10 }),
      command = ARGV,
    } }),
    dependencies = node("map", "what it needs",
      { default = {}, keys = M.SERVICE_NAME, of = M.dependency,
      listed_by = "name" }),
    dependencyTimeout = seconds("to wait for dependencies before it counts as blocked",
      { above = 0 }),
    onDependencyFailure = enum({ "keep", "restart", "stop" },
      "what happens when a required dependency goes down", { default = "keep" }),
    healthEndpoint = text("the path of an http health check",
      { pattern = "^[/$]", says = 'begin it with "/"' }),
    healthCheck = M.check,
    healthChecks = node("map", "health checks by name",
      { default = {}, keys = ANY_NAME, of = M.check,
      listed_by = "name" }),
    variables = VARIABLES,
    settings = node("map", "values of its variables", { default = {}, keys = M.VARIABLE_NAME,
      of = node("any", "a value") }),
    config = node("map", "files rendered for it",
      { default = {}, keys = M.FILE_NAME, of = M.config }),
  },
  shorthand = "health",
})

-- Built in; any other is a file of backends/.
M.backends = { "consul", "etcd", "dns", "file", "env" }

local PATH_OR_NAME = { pattern = "^[%w_./-]+$", says = "the name of a backend, or a path" }

local function several(doc, default)
  return node("either", doc, { default = default,
    of = { text("one, or several with commas"), list(text("one"), "several", { nonempty = true }) },
    expects = "a string or a list of strings" })
end

M.discovery = node("object", "where instances are registered and looked up", {
  default = {},
  fields = {
    backend = text("the kind of backend: " .. table.concat(M.backends, ", ") ..
      ", or a file of backends/", { default = "file", pattern = PATH_OR_NAME.pattern,
        says = PATH_OR_NAME.says, known = M.backends }),
    fallback = list(text("a backend", PATH_OR_NAME),
      "backends that are registered with too, and answer while those before them cannot"),
    options = node("map", "what a backend of backends/ is told", { keys = ANY_NAME,
      of = node("any", "a value") }),
    registrationTtl = seconds("a record that is not renewed in time is gone",
      { min = 1, default = 60 }),
    healthCheckInterval = seconds("between two looks at a backend that cannot tell of changes",
      { min = 1, default = 30 }),
    consulAddress = several("consul: host:port or URL of an agent or server, or several",
      "127.0.0.1:8500"),
    consulDatacenter = text("consul: the datacenter (the agent's own)"),
    consulToken = text("consul: the ACL token", { secret = true, private = true }),
    consulTokenFile = text("consul: the file of the ACL token"),
    consulEnableTLS = flag("consul: HTTPS"),
    consulCaFile = text("consul: the authority that signed the servers' certificates"),
    consulCertFile = text("consul: our certificate"),
    consulKeyFile = text("consul: its key"),
    consulServerName = text("consul: the name in the servers' certificate"),
    consulStale = flag("consul: let any server answer, not only the leader"),
    consulConsistent = flag("consul: let the leader ask the others whether it still is, for each "
      .. "answer"),
    etcdEndpoints = several("etcd: host:port or URL of each member", { "127.0.0.1:2379" }),
    etcdKeyPrefix = text("etcd: where the records are", { default = "/atproto/services",
      pattern = "^/", says = 'begin it with "/"' }),
    etcdUser = text("etcd: the user"),
    etcdPassword = text("etcd: the user's password", { secret = true, private = true }),
    etcdPasswordFile = text("etcd: the file of the password"),
    etcdEnableTLS = flag("etcd: HTTPS"),
    etcdCaFile = text("etcd: the authority that signed the members' certificates"),
    etcdCertFile = text("etcd: our certificate"),
    etcdKeyFile = text("etcd: its key"),
    etcdServerName = text("etcd: the name in the members' certificate"),
    dnsDomain = text("dns: the zone of the records", { default = "atproto.local",
      pattern = "^[%w_][%w_.-]*$", says = "a domain name" }),
    dnsResolver = several("dns: host:port of who is asked", "127.0.0.1:53"),
    dnsServer = text("dns: host:port of who takes updates (the resolver)"),
    dnsTtl = seconds("dns: how long an answer may be kept", { min = 1, default = 5 }),
    dnsKeyFile = text("dns: the TSIG key, in a file as BIND and Knot have it"),
    dnsUpdate = flag("dns: register by updates (if there is a key)"),
    filePath = text("file: the folder (root: /etc/atproto/discovery; else below ~/.local/state)"),
    envPrefix = text("env: how the variables' names begin", { default = "ATPROTO_SERVICE_",
      pattern = "^[%a_][%w_]*$", says = 'use letters, digits and "_"' }),
    envFile = text("env: the file that is exported to and read from (of a stack: services.env in "
      .. "its state folder)"),
  },
})

-- Marks the keys that belong to one backend: those of another are refused, and have no default.
for _, backend in ipairs(M.backends) do
  for key, field in pairs(M.discovery.fields) do
    if key:find("^" .. backend .. "%u") then field.of_backend = backend end
  end
end

-- Built in; any other is a file of strategies/.
M.strategies = { "hub-spoke", "leader-follower", "peer-to-peer", "mesh" }

M.coordination = node("object", "who decides", {
  default = {},
  later = set_of("hub hubFailover"),
  fields = {
    strategy = text("how the nodes learn of each other: " .. table.concat(M.strategies, ", ") ..
      ", or a file of strategies/", { default = "hub-spoke", pattern = "^[%w_./-]+$",
        says = "the name of a strategy, or a path", known = M.strategies }),
    options = node("map", "what a strategy of strategies/ is told", { keys = ANY_NAME,
      of = node("any", "a value") }),
    enableHealthChecks = flag("false keeps the order and waits for nothing but running",
      { default = true }),
    dependencyTimeout = seconds("the default of every service's own", { above = 0, default = 60 }),
  },
})

M.stack = node("object", "everything that one deployment runs", {
  later = set_of("agent"),
  fields = {
    name = text("names the stack's folders", { name = M.STACK_NAME }),
    profile = text('the base it builds on: a name or a path; "custom" is empty'),
    domain = text("the public name", { default = "localhost",
      pattern = "^[%w][%w.-]*$", says = "a host name" }),
    settings = node("map", "values for ${stack.settings.x}", { default = {}, keys = M.VARIABLE_NAME,
      of = node("any", "a value") }),
    nodes = node("map", "the machines",
      { default = {}, keys = M.SERVICE_NAME, of = node("object", "a machine",
      { fields = { address = text("where other nodes reach it") } }) }),
    discovery = M.discovery,
    coordination = M.coordination,
    stateDir = text("the folder of everything Orrery writes for this stack"),
    services = node("map", "the services by name",
      { default = {}, keys = M.SERVICE_NAME, of = M.service }),
  },
})

return M
