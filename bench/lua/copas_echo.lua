-- An echo server with copas, and LuaSec for its TLS.

-- Debian has the files of copas, which depend on no version of Lua, for some versions only.
package.path = package.path .. ";/usr/share/lua/5.2/?.lua;/usr/share/lua/5.1/?.lua"

local support = require "support"
local socket = support.need("socket", "lua-socket")
local copas = support.need("copas", "lua-copas")

local options = support.server_options(arg)

local function echo(line)
  while true do
    local data, err, part = copas.receivePartial(line, 4096)
    data = data or part
    if not data or data == "" then break end
    if not copas.send(line, data) or err == "closed" then break end
  end
end

-- The copas of Debian waits where it is told "timeout"; LuaSec says "wantread" and "wantwrite". While it reads it wants to
-- write, and the other way round, only when the peer renegotiates, which TLS 1.3 does not have.
local tls_line = {}
tls_line.__index = tls_line

local function waits(ok, err, rest)
  if err == "wantread" or err == "wantwrite" then err = "timeout" end
  return ok, err, rest
end

function tls_line:receive(...) return waits(self.line:receive(...)) end
function tls_line:send(...) return waits(self.line:send(...)) end
function tls_line:getfd() return self.line:getfd() end
function tls_line:dirty() return self.line:dirty() end
function tls_line:close() return self.line:close() end

local function tls_handler()
  local ssl = support.need("ssl", "lua-sec")
  local context = assert(ssl.newcontext({ mode = "server", protocol = "any", certificate = options.cert, key = options.key }))
  return function(client)
    local line = setmetatable({ line = assert(ssl.wrap(client, context)) }, tls_line)
    line.line:settimeout(0)
    local handshake = setmetatable({ receive = function() return waits(line.line:dohandshake()) end }, { __index = line })
    if copas.receive(handshake) then echo(line) end
  end
end

local function tcp_handler(client)
  client:setoption("tcp-nodelay", true)
  echo(client)
end

local door = assert(socket.bind("0.0.0.0", options.port, 1024))
copas.addserver(door, options.tls and tls_handler() or tcp_handler)
local _, port = door:getsockname()
support.announce(tonumber(port))
copas.loop()
