--- A stack that uses the type, the check and the strategy beside it: two versions of a site, of
-- which one is live (switch.lua), and a reader that is told which.
return {
  name = "examples",
  coordination = { strategy = "one-at-a-time" },
  services = {
    blue = { type = "static-site", port = 8081, settings = { title = "blue" } },
    green = { type = "static-site", port = 8082, settings = { title = "green" } },
    reader = {
      exec = { "sleep", "infinity" },
      dependencies = { { name = "site", type = "soft", discover = true } },
      -- Written again whenever another version is live.
      config = { ["live.env"] = {
        template = "SITE_PORT=${service.site.port | later(0)}\n", format = "env", reload = "none",
      } },
    },
  },
}
