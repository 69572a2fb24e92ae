--- plc -- the reference PLC directory, which gives accounts their DIDs. Keeps its operations in a
-- file, or in PostgreSQL when `settings.postgresql` names such a service.
return {
  variables = {
    postgresql = { type = "service", doc = "where to keep the operations instead of in a file" },
  },
  package = { npm = "@did-plc/server", version = "0.0.1" },
  port = 2582,
  url = "http://${address}:${port}",
  tags = { "atproto", "plc" },
  exec = { "node", "${dir.package}/plc.cjs" },
  env = {
    PORT = "${port}",
    BIND_HOST = "${bind}",
    PLC_DATA_DIRECTORY = "${dir.data}",
    DATABASE_URL = "%{ if postgresql }${postgresql.url}%{ endif }",
  },
  healthEndpoint = "/_health",
}
