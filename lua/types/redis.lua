--- redis -- a cache; a PDS keeps its rate limits in it across restarts.
return {
  port = 6379,
  scheme = "redis",
  exec = { "redis-server", "--port", "${port}", "--bind", "${bind}", "--dir", "${dir.data}" },
  healthCheck = { strategy = "tcp", send = "PING\r\n", expect = "+PONG" },
}
