-- A TCP and TLS proxy before servers that take turns: usage in the text below.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local hawser = require "hawser"
local command_line = require "command_line"

local usage = [[
usage: reverse_proxy.lua --backend SCHEME://HOST:PORT [OPTION...]

Hands each connection through to one of the back ends, which take turns; one that cannot be reached is passed over. The
end of what one side sends is handed on as such, and the other direction goes on. A stream that was cut short is cut on
the other side too.

  --backend URL              tcp://HOST:PORT or tls://HOST:PORT; may be repeated
  --address IP               where to listen (127.0.0.1)
  --port N                   and at which port; 0 is any that is free (0)
  --cert FILE --key FILE     speak TLS to the clients, with this certificate and key (PEM)
  --cacert FILE              authorities to trust at back ends (PEM) instead of the system's
  --max-connections N        more of them wait (1000)
  --connect-timeout SECONDS  for one back end, with its handshake (5)
  --idle-timeout SECONDS     after which a connection without any traffic is cut (60)

Ctrl-C stops it in good order, with exit status 0. 1: it cannot listen; 2: a wrong command line.
]]

local options, operands = command_line.read(usage, {
  backend = { many = true },
  address = { default = "127.0.0.1" },
  port = { default = 0, least = 0, most = 65535, whole = true },
  cert = {},
  key = {},
  cacert = {},
  ["max-connections"] = { default = 1000, least = 1, most = 100000, whole = true },
  ["connect-timeout"] = { default = 5, least = 0.001, most = 1e6 },
  ["idle-timeout"] = { default = 60, least = 0.001, most = 1e6 },
})
if #operands > 0 then command_line.refuse(usage, "too much: " .. operands[1]) end
if #options.backend == 0 then command_line.refuse(usage, "--backend is needed") end
if not options.cert ~= not options.key then command_line.refuse(usage, "--cert and --key go together") end

local back_config
if options.cacert then
  local message
  back_config, message = hawser.tls.config { ca_file = options.cacert }
  if not back_config then command_line.refuse(usage, message) end
end

local backends = {}
for i, text in ipairs(options.backend) do
  local scheme, host, port = text:match("^(%a+)://(.+):(%d+)$")
  if scheme ~= "tcp" and scheme ~= "tls" then command_line.refuse(usage, text .. " is no back end: write tcp://HOST:PORT or tls://HOST:PORT") end
  backends[i] = { text = text, secure = scheme == "tls", host = host:match("^%[(.*)%]$") or host, port = port }
end

local function log(what, ...)
  io.stderr:write("reverse_proxy: ", what:format(...), "\n")
end

local function connect(to)
  local limit = options["connect-timeout"]
  if not to.secure then return hawser.tcp.connect(to.host, to.port, limit) end
  return hawser.with_timeout(limit, hawser.tls.connect, to.host, to.port, back_config)
end

-- The next back end in turn that can be reached.
local turn = 0
local function find_backend()
  local first = turn
  turn = turn + 1
  for i = 0, #backends - 1 do
    local to = backends[(first + i) % #backends + 1]
    local line, message, number = connect(to)
    if line then return line end
    if number == hawser.errno.ECANCELED then return nil end
    log("%s: %s", to.text, message)
  end
end

-- Both directions of one connection at once, until both have ended.
local function join(front, back)
  local group = hawser.group()
  local last, open, watch = hawser.now(), 2, nil

  local function copy(from, to)
    while true do
      local piece, message = from:read("b")
      if not piece then
        if message then error(("%s: %s"):format(from:peer_name(), message), 0) end
        break
      end
      last = hawser.now()
      local sent
      sent, message = to:write(piece)
      if not sent then error(("%s: %s"):format(to:peer_name(), message), 0) end
      last = hawser.now()
    end
    local sent, message = to:shutdown()
    if not sent then error(("%s: %s"):format(to:peer_name(), message), 0) end
    open = open - 1
    if open == 0 then watch:cancel() end
  end

  -- One direction may be silent for as long as the other is not.
  watch = group:spawn(function()
    local limit = options["idle-timeout"]
    while hawser.sleep(math.max(last + limit - hawser.now(), 0.001)) do
      if hawser.now() - last >= limit then error(("%s: nothing came for %g seconds"):format(front:peer_name(), limit), 0) end
    end
  end)
  group:spawn(copy, front, back)
  group:spawn(copy, back, front)
  return group:join()
end

local function handle(front)
  local back = find_backend()
  if not back then return front:abort() end
  local whole, message = join(front, back)
  if whole and not hawser.current():is_stopped() then
    back:close()
    return
  end
  if message then log("%s", message) end
  -- Without a proper end: neither side takes what it has for all there was.
  front:abort()
  back:abort()
end

local certificate = options.cert and { cert_file = options.cert, key_file = options.key }
local door, message
if certificate then
  door, message = hawser.tls.listen(options.address, options.port, certificate)
else
  door, message = hawser.tcp.listen(options.address, options.port)
end
if not door then
  log("%s", message)
  os.exit(1, true)
end
io.stdout:write("listening on ", tostring(door:address()), "\n")
io.stdout:flush()

local stopped = command_line.run(function()
  local _, why = door:serve(handle, {
    max_connections = options["max-connections"],
    on_error = function(err, trace, peer) log("%s: %s%s", tostring(peer), tostring(err), trace and "\n" .. trace or "") end,
  })
  log("%s", why)
end)
os.exit(stopped and 0 or 1, true)
