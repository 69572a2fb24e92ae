--- caddy -- the web server in front: TLS for every host name of the domain, where that is public.
-- Its ports below 1024 are for root only: give it `user = "root"`, or others.
return {
  variables = {
    upstream = { type = "string", default = "pds", doc = "the service behind it" },
    healthPath = { type = "string", default = "/xrpc/_health",
      doc = "where that service answers when it is healthy" },
    email = { type = "string", doc = "whom to tell of trouble with certificates" },
  },
  port = 443,
  ports = { http = 80, admin = 2019 },
  url = "${stack.isLocal ? \"http://${hostname}:${ports.http}\" : \"https://${hostname}\"}",
  publicUrl = "${url}",
  env = { XDG_DATA_HOME = "${dir.data}", XDG_CONFIG_HOME = "${dir.data}" },
  exec = { "caddy", "run", "--adapter", "caddyfile", "--config", "${dir.config}/Caddyfile" },
  config = {
    Caddyfile = {
      source = "Caddyfile",
      check = { "caddy", "validate", "--adapter", "caddyfile", "--config", "${file}" },
      reload = {
        command = { "caddy", "reload", "--adapter", "caddyfile", "--config", "${file}",
          "--address", "${bind | url_host}:${ports.admin}" },
      },
    },
  },
  healthCheck = { strategy = "http", port = "${ports.admin}", endpoint = "/metrics" },
}
