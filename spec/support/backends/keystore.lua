-- keystore -- discovery in a key store over HTTP: a record is what PUT left at
-- <url>/<service>/<id>, and GET <url>/<service> lists those of a service.
return {
  options = { url = "http://127.0.0.1:8080/atproto", token = "" }, -- with their defaults
  capabilities = { watch = true },

  open = function(ctx, options)
    local store, next_expiry = {}, {}

    local function ask(request, path)
      request.url = options.url .. path
      request.headers = request.headers or {}
      if options.token ~= "" then request.headers.Authorization = "Bearer " .. options.token end
      local answer, message, code = ctx.http.request(request)
      if not answer then return nil, message, code end
      if answer.status < 300 then return answer end
      return nil, ("%s: answered %d"):format(request.url, answer.status), "bad_reply"
    end

    local function put(record)
      record.expires = record.ttl > 0 and ctx.time.now() + record.ttl or nil
      local path = ("/%s/%s"):format(record.service, record.id)
      local ok, message, code = ask({ method = "PUT", body = ctx.json.encode(record) }, path)
      if not ok then return nil, message, code end
      store[path] = record
      return true
    end

    function store.register(_, record, ttl)
      record.ttl = ttl or 0
      return put(record)
    end

    function store.renew(_, service, id)
      local record = store[("/%s/%s"):format(service, id)]
      if not record then return nil, id .. " is not registered", "not_found" end
      return put(record)
    end

    function store.deregister(_, service, id)
      local path = ("/%s/%s"):format(service, id)
      local ok, message, code = ask({ method = "DELETE" }, path)
      if not ok then return nil, message, code end
      store[path] = nil
      return true
    end

    function store.lookup(_, service, cursor, timeout)
      local request = { timeout = 10 }
      if cursor then -- until a record expires, if that is sooner
        local expires_in = (next_expiry[service] or math.huge) - ctx.time.now()
        timeout = math.max(math.min(timeout, expires_in), 0.1)
        request.timeout = timeout + 10
        request.headers = { ["If-None-Match"] = cursor, Prefer = ("wait=%.1f"):format(timeout) }
      end
      local answer, message, code = ask(request, "/" .. service)
      if not answer then return nil, message, code end
      local list, found = ctx.json.decode(answer.body), {}
      if type(list) ~= "table" then return nil, "the store's answer is no list", "bad_reply" end
      next_expiry[service] = math.huge
      for _, record in ipairs(list) do
        local expires = record.expires or math.huge
        if expires > ctx.time.now() then
          found[#found + 1] = record
          next_expiry[service] = math.min(next_expiry[service], expires)
        end
      end
      return found, answer.headers.etag
    end

    function store.services()
      local answer, message, code = ask({}, "")
      if not answer then return nil, message, code end
      return ctx.json.decode(answer.body)
    end

    return store
  end,
}
