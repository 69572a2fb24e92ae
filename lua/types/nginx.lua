--- nginx -- in front of every instance of a service. It takes up new ones without dropping a
-- connection.
return {
  variables = {
    upstream = { type = "string", default = "pds", doc = "the service behind it" },
    maxBody = { type = "string", default = "100m", doc = "the largest upload" },
    certificate = { type = "string", doc = "a file with the certificates; then it serves https" },
    key = { type = "string", doc = "the file with the key of the certificate" },
  },
  port = 8080,
  url = "%{ if certificate }https%{ else }http%{ endif }://${hostname}:${port}",
  publicUrl = "${url}",
  exec = { "nginx", "-e", "stderr", "-p", "${dir.data}", "-c", "${dir.config}/nginx.conf" },
  config = {
    ["nginx.conf"] = {
      source = "nginx.conf",
      check = { "nginx", "-e", "stderr", "-p", "${dir.data}", "-t", "-c", "${file}" },
      reload = { signal = "HUP" },
      minInstances = 1, -- it refuses an upstream without a server
    },
  },
  healthCheck = { strategy = "tcp" },
}
