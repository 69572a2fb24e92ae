--- static-site -- serves a folder over http. Its own page says which site it is.
return {
  variables = {
    title = { type = "string", default = "site" },
    root = { type = "string", default = "${dir.data}" },
  },
  port = 8080,
  tags = { "site" },
  exec = { "python3", "-m", "http.server", "${port}", "--bind", "${bind}", "-d", "${root}" },
  hooks = { beforeStart = { "sh", "-c", 'echo "$1" > "$0/title.txt"', "${root}", "${title}" } },
  healthCheck = { strategy = "says", interval = 1,
    options = { path = "/title.txt", text = "${title}" } },
}
