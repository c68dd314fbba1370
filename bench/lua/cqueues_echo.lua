-- An echo server with cqueues, and luaossl for its TLS.

local support = require "support"
local cqueues = support.need("cqueues", "lua-cqueues")
local socket = support.need("cqueues.socket", "lua-cqueues")

local options = support.server_options(arg)

local context
if options.tls then
  local ssl_context = support.need("openssl.ssl.context", "lua-luaossl")
  local pkey = support.need("openssl.pkey", "lua-luaossl")
  local x509 = support.need("openssl.x509", "lua-luaossl")
  local chain = support.need("openssl.x509.chain", "lua-luaossl").new()
  local function text(name)
    local file = assert(io.open(name))
    local all = file:read("*a")
    file:close()
    return all
  end
  context = ssl_context.new("TLS", true)
  local own
  for pem in text(options.cert):gmatch("%-%-%-%-%-BEGIN CERTIFICATE.-END CERTIFICATE%-%-%-%-%-") do
    local certificate = x509.new(pem)
    if own then chain:add(certificate) end
    own = own or certificate
  end
  context:setCertificate(own)
  context:setCertificateChain(chain)
  context:setPrivateKey(pkey.new(text(options.key)))
end

local function echo(line)
  -- Bytes as they are; each write goes out by itself.
  line:setmode("bn", "bn")
  line:onerror(function(_, _, code) return code end)
  if not context or line:starttls(context) then
    while true do
      local data = line:read(-4096)
      if not data or not line:write(data) then break end
    end
  end
  line:close()
end

local loop = cqueues.new()
local door = assert(socket.listen("0.0.0.0", options.port))
assert(door:listen())
loop:wrap(function()
  local _, _, port = door:localname()
  support.announce(port)
  for line in door:clients() do loop:wrap(echo, line) end
end)
assert(loop:loop())
