---@meta
error("a meta file cannot be required")

--- HTTP: asking, and answering on a Unix socket.
---
--- Only http and https. No proxy, cookies or cache; nothing of the environment counts. Names are
--- resolved by `orrery.dns`, so a deadline is exact whatever the network does. Codes: "refused",
--- "timeout" (the deadline), "not_found" (no such host), "bad_reply" (what came is no answer, was
--- cut off, or is too large), "invalid" (a bad URL, header or certificate file), "io".
---@class orrery.http
local http = {}

---@class orrery.http.Tls
---@field ca? string a PEM file with the authorities to trust, instead of the system's
---@field cert? string a PEM file: the client's certificate
---@field key? string a PEM file: its key
---@field serverName? string the name the certificate must have, instead of the URL's host
---@field verify? boolean false: accept any certificate (default true)

---@class orrery.http.Options
---@field method? string default GET, or POST if there is a body
---@field headers? table<string, string>
---@field body? string
---@field timeout? number seconds for everything, the last byte included (10)
---@field maxBytes? integer a larger body is an error (1048576)
---@field unixSocket? string connect to this socket; the URL's host is then only a name
---@field followRedirects? boolean at most five; credentials stay with their origin (false)
---@field reuse? boolean may use a kept connection, and keep its own (false: a fresh one)
---@field tls? orrery.http.Tls

---@class orrery.http.Request: orrery.http.Options
---@field url string

---@class orrery.http.Response
---@field status integer
---@field headers table<string, string> lower-case names; equal ones are joined by ", "
---@field body string
---@field elapsed number seconds

--- Sends a request and waits for the whole answer. Any status is an answer.
---
---     local url = "https://plc.directory/_health"
---     local answer, message = orrery.http.request { url = url, timeout = 5 }
---     if not answer then print(message) end
---@async
---@param request orrery.http.Request
---@return orrery.http.Response? answer or nil, message, code
---@return string? message
---@return string? code
function http.request(request) end

--- `request` with the URL first.
---
---     local answer = assert(orrery.http.get("http://127.0.0.1:3000/xrpc/_health"))
---@async
---@param url string
---@param options? orrery.http.Options
---@return orrery.http.Response? answer or nil, message, code
---@return string? message
---@return string? code
function http.get(url, options) end

--- `request` with the URL and the body first. No Content-Type is guessed.
---
---     orrery.http.post(url, "{}", { headers = { ["Content-Type"] = "application/json" } })
---@async
---@param url string
---@param body? string
---@param options? orrery.http.Options
---@return orrery.http.Response? answer or nil, message, code
---@return string? message
---@return string? code
function http.post(url, body, options) end

--- Sends a request and waits for the headers only; the body is then read line by line. `timeout` is
--- for the headers, `maxBytes` for one line. A reader that falls behind stops the sender.
---
---     local events <close> = assert(orrery.http.stream { url = url })
---     for line in function() return (events:line()) end do print(line) end
---@async
---@param request orrery.http.Request
---@return orrery.http.Stream? stream or nil, message, code
---@return string? message
---@return string? code
function http.stream(request) end

---@class orrery.http.Stream
---@field status integer
---@field headers table<string, string>
---@field elapsed number seconds until the headers
local Stream = {}

--- Waits for the next line, and gives it without its line end. After the last: nil, "end",
--- "closed". If the body was cut off: nil, message, "bad_reply" or "io".
---@async
---@param timeout? number seconds; nil, "timed out", "timeout" after that (default: no limit)
---@return string? line
---@return string? message
---@return string? code
function Stream:line(timeout) end

--- Ends the connection. Whoever waits for a line gets nil, "closed", "closed".
function Stream:close() end

---@class orrery.http.ServeOptions
---@field path string the socket file; at most 107 bytes
---@field mode? integer of the socket file (default 0600)
---@field maxBody? integer bytes; a larger body is answered with 413 (1048576)

--- Serves HTTP on a Unix socket. Only processes of this user and of root are let in, whatever the
--- mode (others get 403). A socket file that nobody answers is replaced; "exists" if somebody does.
---
--- ```lua
--- local server <close> = assert(orrery.http.serve { path = "api.sock" })
--- orrery.task.spawn(function()
---   for request in function() return (server:accept()) end do
---     request:respond(200, { ["Content-Type"] = "text/plain" }, "you asked for " .. request.path)
---   end
--- end)
--- local answer = assert(orrery.http.get("http://x/v1", { unixSocket = "api.sock" }))
--- print(answer.status, answer.body) --> 200 you asked for /v1
--- ```
---@param options orrery.http.ServeOptions
---@return orrery.http.Server? server or nil, message, code
---@return string? message
---@return string? code
function http.serve(options) end

---@class orrery.http.Server
local Server = {}

--- Waits for the next whole request. nil, "closed", "closed" once the server is closed.
---@async
---@return orrery.http.ServerRequest? request
---@return string? message
---@return string? code
function Server:accept() end

--- Ends every connection and removes the socket file.
function Server:close() end

--- One that is dropped without an answer is answered with 500 when it is collected.
---@class orrery.http.ServerRequest
---@field method string
---@field path string decoded, without the query
---@field query table<string, string> decoded; a name without a value gives ""
---@field headers table<string, string> lower-case names
---@field body string
---@field peer {uid: integer, pid: integer} who asks
local Request = {}

--- Answers, once. nil, "closed", "closed" if the client has gone.
---@param status integer
---@param headers? table<string, string>
---@param body? string
---@return true? ok
---@return string? message
---@return string? code
function Request:respond(status, headers, body) end

--- Begins an answer that is written bit by bit.
---
---     local out <close> = request:stream(200, { ["Content-Type"] = "application/x-ndjson" })
---     out:write("{}\n")
---@param status integer
---@param headers? table<string, string>
---@return orrery.http.Out out
function Request:stream(status, headers) end

---@class orrery.http.Out
local Out = {}

--- Sends text without waiting. nil, "closed", "closed" if the client has gone or is more than 4 MiB
--- behind (one write to who is not behind may be longer). A client that vanished is noticed at a
--- write only: write an empty line now and then.
---@param text string
---@return true? ok
---@return string? message
---@return string? code
function Out:write(text) end

--- Ends the answer, once all that was written is sent.
function Out:close() end

return http
