-- Fetches many pages at once: lua pages.lua LIST [FILE]. LIST has lines of a URL, a name for the header and one for the body;
-- they are written to header/ and body/. FILE holds the text of a Lua function request(item) to use instead of the one here.
-- Exit status 1: an error was logged.

local compat = require "hawser.compat"
local syslog, url, dns, tcp, tls, nfl = compat()

local failed = false
syslog.sink(function(level, message)
  failed = true
  io.stderr:write(level, ": ", message, "\n")
end, "warning")

local function save(name, first, more)
  local file = assert(io.open(name, "wb"))
  local piece = first
  while piece and piece ~= "" do
    assert(file:write(piece))
    piece = more and more()
  end
  file:close()
end

local function fetch(page)
  local parts = assert(url:match(page.url))
  local found = assert(dns.address(parts.host, "ip", "tcp", parts.port))
  local line
  if parts.scheme == "https" then
    line = assert(tls.connecta(found[1], parts.host))
  else
    line = assert(tcp.connecta(found[1]))
  end
  assert(line:write("GET /", table.concat(parts.path, "/"), " HTTP/1.0\r\nHost: ", parts.host, "\r\n\r\n"))
  save("header/" .. page.hdr, assert(line:read("*h")))
  local function more()
    local piece, message = line:read("*a")
    assert(message == nil, message)
    return piece
  end
  save("body/" .. page.body, more(), more)
  assert(line:close())
end

local function from_file(name)
  local file = assert(io.open(name))
  local text = "local syslog, url, dns, tcp, tls = ...\n" .. file:read("*a") .. "\nreturn request"
  file:close()
  return assert((loadstring or load)(text, "@" .. name))(syslog, url, dns, tcp, tls)
end

local request = arg[2] and from_file(arg[2]) or fetch
for line in io.lines(arg[1]) do
  local address, header, body = line:match("^(%S+) (%S+) (%S+)$")
  nfl.spawn(request, { url = address, hdr = header, body = body })
end
assert(nfl.client_eventloop())
os.exit(failed and 1 or 0, true)
