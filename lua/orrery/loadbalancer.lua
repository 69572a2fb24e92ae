--- loadbalancer -- upstreams as nginx, HAProxy and Caddy write them: one part of their files, to be
--- included. Values that would change the file are refused by the filter word.
local template = require "orrery.template"

local M = {}

local TEMPLATES = {}

TEMPLATES.nginx = [[
%{ for u in upstream ~}
upstream ${u.name | word} {
%{ if method.nginx ~}
  ${method.nginx};
%{ endif ~}
%{ for s in u.servers ~}
  server ${s.address | word} weight=${s.weight | number} max_fails=${s.max_fails | number}${" " ~}
fail_timeout=${s.fail_timeout | word};
%{ endfor ~}
}
%{ endfor ~}
]]

TEMPLATES.haproxy = [[
%{ for u in upstream ~}
backend ${u.name | word}
  balance ${method.haproxy}
%{ if healthCheck.enabled && u.healthEndpoint ~}
  option httpchk GET ${u.healthEndpoint | word}
  timeout check ${healthCheck.timeout | number}s
%{ endif ~}
%{ for i, s in u.servers ~}
  server ${u.name | word}-${i + 1} ${s.address | word}${" " ~}
weight ${s.weight | number}%{ if healthCheck.enabled ~}
${" "}check inter ${healthCheck.interval | number}s fall ${s.max_fails | number}%{ endif }
%{ endfor ~}
%{ endfor ~}
]]

TEMPLATES.caddy = [[
%{ for u in upstream ~}
(${u.name | word}) {
	reverse_proxy {
%{ for s in u.servers ~}
		to ${s.address | word}
%{ endfor ~}
%{ if u.weighted ~}
		lb_policy weighted_round_robin ${u.servers | map("weight") | join(" ")}
%{ else ~}
		lb_policy ${method.caddy}
%{ endif ~}
%{ if healthCheck.enabled && u.healthEndpoint ~}
		health_uri ${u.healthEndpoint | word}
		health_interval ${healthCheck.interval | number}s
		health_timeout ${healthCheck.timeout | number}s
%{ endif ~}
		max_fails ${u.servers[0].max_fails | number}
		fail_duration ${u.servers[0].fail_timeout | word}
	}
}
%{ endfor ~}
]]

--- The strategies, and what each program calls them. nginx takes turns unless told otherwise.
M.METHODS = {
  ["round-robin"] = { nginx = false, haproxy = "roundrobin", caddy = "round_robin" },
  ["least-connections"] = { nginx = "least_conn", haproxy = "leastconn", caddy = "least_conn" },
  ["ip-hash"] = { nginx = "ip_hash", haproxy = "source", caddy = "ip_hash" },
  random = { nginx = "random", haproxy = "random", caddy = "random" },
}

M.PROGRAMS = { "nginx", "haproxy", "caddy" }

--- What a program reads | nil, message, code. `balance` is what generateLoadBalancerConfig gives.
function M.text(balance, program)
  local text, err = template.render(TEMPLATES[program], { upstream = balance.upstream,
    healthCheck = balance.healthCheck, method = M.METHODS[balance.strategy] },
    { name = program })
  if not text then return nil, err.message, "invalid" end
  return text
end

return M
