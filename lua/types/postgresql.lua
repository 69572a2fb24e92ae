--- postgresql -- a private PostgreSQL server; its cluster is made at the first start.
return {
  variables = {
    user = { type = "string", default = "orrery", doc = "owns the cluster" },
    password = { type = "string", secret = true, generate = "hex:16" },
    databases = { type = "array", default = { "orrery" }, doc = "made when missing" },
  },
  port = 5432,
  scheme = "postgresql",
  url = "postgresql://${user}:${password | url_encode}@${address}:${port}/${databases | first}",
  env = { PGUSER = "${user}", PGPASSWORD = "${password}" },
  hooks = {
    timeout = 300, -- making a cluster takes a while on a slow disk
    beforeStart = {
      "sh", "-c", "exec \"$0\" \"$1\" $2", "${dir.package}/pg-init", "${dir.data}/cluster",
      "${databases | join(\" \")}", -- one word each: pg-init takes plain names only
    },
  },
  exec = {
    "${dir.package}/pg", "postgres", "-D", "${dir.data}/cluster", "-p", "${port}", "-h", "${bind}",
  },
  healthCheck = {
    strategy = "command",
    command = { "${dir.package}/pg", "pg_isready", "-h", "${address}", "-p", "${port}" },
  },
  stop = { signal = "INT", timeout = 60 },
}
