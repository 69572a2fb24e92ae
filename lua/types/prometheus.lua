--- prometheus -- collects the metrics of services, of every instance that discovery has.
return {
  variables = {
    jobs = { type = "object", default = {},
      doc = '{<service> = {port = <where its metrics are>, path = "/metrics"}}' },
  },
  port = 9090,
  url = "http://${address | url_host}:${port}",
  exec = { "prometheus", "--config.file=${dir.config}/prometheus.yml",
    "--storage.tsdb.path=${dir.data}", "--web.listen-address=${bind | url_host}:${port}" },
  config = {
    ["prometheus.yml"] = {
      source = "prometheus.yml",
      check = { "promtool", "check", "config", "${file}" },
      reload = { signal = "HUP" },
    },
  },
  healthEndpoint = "/-/ready",
}
