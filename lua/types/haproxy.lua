--- haproxy -- in front of every instance of a service, each of which it checks itself. It takes up
-- new ones without dropping a connection.
return {
  variables = {
    upstream = { type = "string", default = "pds", doc = "the service behind it" },
    healthPath = { type = "string", default = "/xrpc/_health",
      doc = "where that service answers when it is healthy" },
    certificate = { type = "string",
      doc = "a file with the certificates and their key; then it serves https" },
  },
  port = 8090,
  url = "%{ if certificate }https%{ else }http%{ endif }://${hostname}:${port}",
  publicUrl = "${url}",
  exec = { "haproxy", "-W", "-f", "${dir.config}/haproxy.cfg" },
  config = {
    ["haproxy.cfg"] = {
      source = "haproxy.cfg",
      check = { "haproxy", "-c", "-f", "${file}" },
      reload = { signal = "USR2" },
    },
  },
  healthCheck = { strategy = "tcp" },
}
