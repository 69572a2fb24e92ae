--- sqlite -- a database that is a folder of files in the service that uses it: no process, but the
-- folder must be there, writable and not full.
return {
  embedded = true,
  scheme = "sqlite",
  url = "sqlite://${dir.data}",
  healthCheck = {
    strategy = "file",
    path = "${dir.data}",
    writable = true,
    minFree = 64 * 1024 * 1024,
  },
}
