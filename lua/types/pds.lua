--- pds -- the official PDS, which hosts accounts. Keeps its data in SQLite files.
return {
  variables = {
    plc = { type = "service", required = true, doc = "the PLC directory" },
    appview = { type = "service", doc = "answers what the PDS does not know itself" },
    relay = { type = "service", doc = "is asked to crawl this PDS" },
    redis = { type = "service", doc = "keeps rate limits across restarts" },
    inviteRequired = { type = "boolean", default = true, doc = "accounts need an invite code" },
    jwtSecret = { type = "string", secret = true, generate = "hex:32", doc = "signs sessions" },
    adminPassword = { type = "string", secret = true, generate = "hex:16",
      doc = "of the user admin" },
    rotationKey = { type = "string", secret = true, generate = "k256", rotate = false,
      doc = "signs changes of identities: losing it loses them" },
  },
  package = { npm = "@atproto/pds", version = "0.5.35" },
  hostname = "${stack.domain}",
  port = 3000,
  url = "http://${address}:${port}",
  did = "did:web:${hostname}",
  tags = { "atproto", "pds" },
  exec = { "node", "${dir.package}/pds.cjs" },
  env = { BIND_HOST = "${bind}" },
  envFile = "pds.env",
  config = { ["pds.env"] = { source = "pds.env", format = "env", reload = "restart" } },
  healthEndpoint = "/xrpc/_health",
  healthChecks = {
    deep = {
      role = "report",
      strategy = "http",
      endpoint = "/xrpc/com.atproto.server.describeServer",
    },
  },
  stop = { signal = "TERM", timeout = 30 },
}
