-- TLS from Lua: who is trusted, what both sides are told, and handshakes on streams that are open already.

local hawser = require "hawser"
local t = require "harness"
local errno = hawser.errno

local certs = assert(t.certificates, "HAWSER_CERTS is not set")

local function path(name) return certs .. "/" .. name end

local function content(name)
  local file = assert(io.open(path(name)))
  local text = file:read("*a")
  file:close()
  return text
end

local function server(name, others)
  local options = { cert_file = path(name .. ".pem"), key_file = path(name .. ".key") }
  for key, value in pairs(others or {}) do options[key] = value end
  return options
end

local function client(others)
  local options = { ca_file = path "ca.pem" }
  for key, value in pairs(others or {}) do options[key] = value end
  return options
end

-- Fails unless these are nil, a message in which the pattern is found, and this number.
local function fails(number, pattern, value, message, got)
  if value ~= nil or type(message) ~= "string" or got ~= number or not message:lower():find(pattern) then
    error(("%s, %s, %s and not nil, %s, %s"):format(tostring(value), tostring(message), tostring(got), pattern, tostring(number)), 2)
  end
end

t.task("trusted, by the name it was asked for", function()
  local near, far = t.tls_pair()
  t.ok(near and far)
  t.eq(near:is_tls(), true)
  t.eq(near:handshake(), near)
  near:write("hello\n")
  t.eq(far:read("l"), "hello")
end)

local function refused(client_options, server_options, pattern)
  local near, far, message, number, far_message = t.tls_pair(client_options, server_options)
  fails(errno.EPROTO, pattern, near, message, number)
  -- The name is looked at last: the server may have ended its part then.
  if far then far_message = select(2, far:read("l")) end
  t.eq(type(far_message), "string")
end

t.task("an authority that nobody trusts", function()
  refused({ ca_file = path "other-ca.pem" }, nil, "certificate verification failed")
end)
t.task("a certificate of its own making", function() refused(client(), server "self-signed", "certificate verification failed") end)
t.task("a certificate that has expired", function() refused(client(), server "expired", "expired") end)
t.task("a certificate for another name", function() refused(client(), server "wrong-name", "name") end)
t.task("no protocol in common", function()
  refused(client { protocols = "tlsv1.2" }, server("server", { protocols = "tlsv1.3" }), "")
end)

t.task("what is insecure has to be said", function()
  local cases = {
    { { ca_file = path "ca.pem", insecure_no_verify_time = true }, "expired" },
    { { ca_file = path "ca.pem", insecure_no_verify_name = true }, "wrong-name" },
    { { insecure_no_verify_certificate = true, insecure_no_verify_name = true }, "wrong-name" },
    { { insecure_no_verify_certificate = true }, "self-signed" },
  }
  for _, case in ipairs(cases) do
    local near, far, message = t.tls_pair(case[1], server(case[2]))
    t.ok(near and far, case[2] .. ": " .. tostring(message))
    near:abort()
  end
end)

t.task("server_name is verified instead of the host", function()
  local door = t.ok(hawser.tls.listen("127.0.0.1", 0, server("wrong-name")))
  local group = hawser.group()
  group:spawn(function()
    local far
    repeat far = door:accept() until far and far:session().servername  -- an address is not asked for
    t.eq(far:session().servername, "wrong.example.test")
    far:abort()
  end)
  local port = door:address().port
  fails(errno.EPROTO, "name", hawser.tls.connect("127.0.0.1", port, client()))
  local near = t.ok(hawser.tls.connect("127.0.0.1", port, client { server_name = "wrong.example.test", timeout = 10 }))
  t.ok(near:peer_contains_name("wrong.example.test"))
  t.ok(group:join())
end)

t.task("tls.connect by name, and tls.connecta by address", function()
  local door = t.ok(hawser.tls.listen("127.0.0.1", 0, server "server"))
  local group = hawser.group()
  group:spawn(function()
    for _ = 1, 4 do t.ok(door:accept()):abort() end
  end)
  local config = t.ok(hawser.tls.config(client()))
  t.ok(hawser.tls.connect("localhost", door:address().port, config))
  t.ok(hawser.tls.connect("127.0.0.1", tostring(door:address().port), client()))
  t.ok(hawser.tls.connecta(door:address(), "localhost", 10, config))
  t.ok(hawser.tls.connecta(door:address(), "127.0.0.1", client { timeout = 10 }))
  t.ok(group:join())
end)

t.task("a time limit covers the handshake", function()
  local door = t.ok(hawser.tcp.listen("127.0.0.1", 0))  -- which never answers
  fails(errno.ETIMEDOUT, "timed out", hawser.tls.connect("127.0.0.1", door:address().port, client { timeout = 0.05 }))
end)

t.task("certificates of clients", function()
  local wants = { client_ca_file = path "ca.pem", require_client_certificate = true }
  local shows = client { cert_file = path "client.pem", key_file = path "client.key" }
  t.eq(t.ok(hawser.tls.config(shows)):has_certificate(), true)
  t.eq(t.ok(hawser.tls.config(client())):has_certificate(), false)

  local near, far = t.tls_pair(shows, server("server", wants))
  t.ok(near and far)
  local peer = far:peer()
  t.eq(peer.provided, true)
  t.ok(peer.subject:find "test client", peer.subject)
  t.ok(peer.issuer:find "intermediate", peer.issuer)

  -- With TLS 1.3 the client learns of it at its first read.
  local message, far_message
  near, far, message, _, far_message = t.tls_pair(client(), server("server", wants))
  t.eq(far, nil)
  t.ok(far_message:lower():find "certificate", far_message)
  if near then
    local data
    data, message = near:read("l")
    t.eq(data, nil)
  end
  t.eq(type(message), "string")

  near, far = t.tls_pair(client(), server("server", { client_ca_pem = content "ca.pem", request_client_certificate = true }))
  t.ok(near and far)
  t.eq(far:peer().provided, false)
  t.eq(far:peer().subject, nil)
  t.eq(far:peer_contains_name("localhost"), false)
end)

t.task("PEM text instead of files", function()
  local near, far = t.tls_pair(
    { ca_pem = content "ca.pem", cert_pem = content "client.pem", key_pem = content "client.key" },
    { cert_pem = content "server.pem", key_pem = content "server.key", client_ca_pem = content "ca.pem", require_client_certificate = true })
  t.ok(near and far)
  t.ok(far:peer().subject:find "test client")
end)

t.task("alpn", function()
  local near, far = t.tls_pair(client { alpn = "h2,http/1.1" }, server("server", { alpn = "http/1.1" }))
  t.eq(near:session().alpn, "http/1.1")
  t.eq(far:session().alpn, "http/1.1")
  near = t.tls_pair(client(), server("server", { alpn = "http/1.1" }))
  t.eq(near:session().alpn, nil)
end)

t.task("several certificates, chosen by the name that is asked for", function()
  local config = t.ok(hawser.tls.server_config(server("server", {
    keypairs = {
      { cert_file = path "wrong-name.pem", key_file = path "wrong-name.key" },
      { cert_pem = content "client.pem", key_pem = content "client.key" },
    },
  })))
  local door = t.ok(hawser.tls.listen("127.0.0.1", 0, config))
  local server_task = hawser.spawn(function() door:serve(function(line) line:read("l") end) end)
  for _, name in ipairs { "localhost", "wrong.example.test" } do
    local near = t.ok(hawser.tls.connecta(door:address(), name, 10, client()))
    t.eq(near:peer_contains_name(name), true)
    near:abort()
  end
  -- A name that none of them has gets the first.
  fails(errno.EPROTO, "name", hawser.tls.connecta(door:address(), "other.example.test", 10, client()))
  server_task:cancel()
  server_task:join()
end)

t.task("what is told of the connection and of the certificate", function()
  local near, far = t.tls_pair(client { protocols = "tlsv1.3" })
  local session = near:session()
  t.eq(session.version, "TLSv1.3")
  t.ok(session.cipher:find "^TLS_")
  t.ok(session.cipher_strength >= 128)
  t.eq(session.servername, "localhost")
  t.eq(session.resumed, false)
  t.eq(far:session().servername, "localhost")

  local peer = near:peer()
  t.eq(peer.provided, true)
  t.eq(peer.subject, "/CN=localhost")
  t.ok(peer.issuer:find "hawser test intermediate")
  t.ok(peer.hash:find("^SHA256:" .. ("%x"):rep(64) .. "$"), peer.hash)
  t.ok(peer.not_before <= os.time() and peer.not_after > os.time())
  t.eq(select(2, peer.chain_pem:gsub("BEGIN CERTIFICATE", "")), 2)
  t.eq(near:peer_contains_name("localhost"), true)
  t.eq(near:peer_contains_name("127.0.0.1"), true)
  t.eq(near:peer_contains_name("example.org"), false)
  t.eq(near:peer_contains_name(""), false)

  local ocsp = near:ocsp()
  t.eq(ocsp.present, false)
  t.eq(ocsp.status, nil)

  local plain = t.pair()
  t.eq(plain:is_tls(), false)
  t.eq(plain:session(), nil)
  t.eq(plain:peer(), nil)
  t.eq(plain:ocsp(), nil)
  t.eq(plain:peer_contains_name("localhost"), nil)

  far:abort()
  near:close()
  for _, name in ipairs { "session", "peer", "ocsp" } do near[name](near) end  -- of a closed stream: whatever it is, no crash
  near:peer_contains_name("localhost")
end)

-- Both sides of a plain connection become TLS after a line each; the server's line comes together with nothing, the
-- client's together with its first handshake message, which the server has then read ahead.
t.task("a stream becomes TLS in the middle", function()
  local near, far = t.pair()
  local config = t.ok(hawser.tls.server_config(server "server"))
  local server_side = hawser.spawn(function()
    t.eq(far:read("l"), "STARTTLS")
    far:write("go\n")
    local line = t.ok(hawser.tls.accept(far, config, 10))
    t.eq(far:is_open(), false)
    fails(errno.EBADF, "closed", far:read("l"))
    t.eq(line:read("l"), "secret")
    line:write("answer\n")
    return line:read("a")
  end)
  near:write("STARTTLS\n")
  t.eq(near:read("l"), "go")
  local line = t.ok(hawser.tls.handshake(near, "localhost", client()))
  fails(errno.EBADF, "closed", near:write("x"))
  fails(errno.EBADF, "closed", hawser.tls.handshake(near, "localhost", client()))
  t.eq(near:session(), nil)
  t.ok(tostring(near))
  near:is_idle()
  near:fileno()
  near:abort()
  t.eq(line:write("secret\n"), line)
  t.eq(line:read("l"), "answer")
  t.eq(line:peer_contains_name("localhost"), true)
  line:close()
  t.eq(select(2, server_side:join()), "")
end)

t.task("bytes of the handshake that were read ahead", function()
  -- A relay sends the plain line and the first message in one piece.
  local client_end, relay_in = t.pair()
  local relay_out, server_end = t.pair()
  local relay = hawser.spawn(function()
    local first = relay_in:read("b")
    relay_out:write("PREAMBLE\n", first)
    local back = hawser.spawn(function()
      for data in relay_out:lines("b") do relay_in:write(data) end
      relay_in:shutdown()
    end)
    for data in relay_in:lines("b") do relay_out:write(data) end
    relay_out:shutdown()
    back:join()
  end)
  local config = t.ok(hawser.tls.server_config(server "server"))
  local server_side = hawser.spawn(function()
    t.eq(server_end:read("l"), "PREAMBLE")
    local line = t.ok(hawser.tls.accept(server_end, config))
    t.eq(line:read("l"), "through the relay")
    line:write("and back\n")
    line:close()
  end)
  local line = t.ok(hawser.tls.handshake(client_end, "localhost", client()))
  line:write("through the relay\n")
  t.eq(line:read("l"), "and back")
  line:close()
  t.ok(server_side:join())
  t.ok(relay:join())
end)

t.task("a handshake with somebody who speaks no TLS", function()
  local near, far = t.pair()
  far:write("HTTP/1.1 400 Bad Request\r\n\r\n")
  fails(errno.EPROTO, "", hawser.tls.handshake(near, "localhost", client()))
  near, far = t.pair()
  far:write("GET / HTTP/1.1\r\n\r\n")
  fails(errno.EPROTO, "", hawser.tls.accept(near, t.ok(hawser.tls.server_config(server "server"))))
  near, far = t.pair()
  fails(errno.ETIMEDOUT, "timed out", hawser.tls.handshake(near, "localhost", client { timeout = 0.02 }))
  t.ok(far)
end)

t.task("new certificates for a listener", function()
  local door = t.ok(hawser.tls.listen("127.0.0.1", 0, server "expired"))
  local tasks = hawser.group()
  tasks:spawn(function()
    while true do
      local line, _, number = door:accept()
      if line then line:abort() elseif number == errno.ECANCELED then return end
    end
  end)
  fails(errno.EPROTO, "expired", hawser.tls.connecta(door:address(), "localhost", 10, client()))
  t.eq(door:reload(t.ok(hawser.tls.server_config(server "server"))), true)
  t.ok(hawser.tls.connecta(door:address(), "localhost", 10, client()))
  t.raises("TLS listener", function()
    local plain = hawser.tcp.listen("127.0.0.1", 0)
    plain:reload(hawser.tls.server_config(server "server"))
  end)
  t.raises("server_config", door.reload, door, {})
  tasks:cancel()
  tasks:join()
end)

t.test("options that are wrong raise", function()
  local config, server_config = hawser.tls.config, hawser.tls.server_config
  t.raises("no tls option ca_fle", config, { ca_fle = "x" })
  t.raises("no tls option cert", server_config, server("server", { cert = "x" }))
  t.raises("no tls option client_ca_file", config, { client_ca_file = "x" })
  t.raises("ca_file is a string, not a number", config, { ca_file = 1 })
  t.raises("ca_file is a string, not a boolean", config, { ca_file = true })
  t.raises("verify_depth is a number, not a string", config, { verify_depth = "6" })
  t.raises("verify_depth is a whole number", config, { verify_depth = 1.5 })
  t.raises("verify_depth is a whole number", config, { verify_depth = 1e30 })
  t.raises("verify_depth is a whole number", config, { verify_depth = 0 / 0 })
  t.raises("true or false, not a string", config, { insecure_no_verify_name = "yes" })
  t.raises("options are named", config, { "ca_file" })
  t.raises("options are named", config, { [{}] = 1 })
  t.raises("table expected", config, "ca.pem")
  t.raises("table expected", server_config)
  t.raises("needs a certificate", server_config, {})
  t.raises("needs a server_config", hawser.tls.listen, "127.0.0.1", 0)
  t.raises("server_config", hawser.tls.listen, "127.0.0.1", 0, t.ok(config(client())))
  t.raises("table", server_config, server("server", { keypairs = "x" }))
  t.raises("table", server_config, server("server", { keypairs = { "x" } }))
  t.raises("no tls option ca_file", server_config, server("server", { keypairs = { { ca_file = "x" } } }))
  t.raises("tls.config", hawser.tls.connecta, hawser.address("127.0.0.1", 1), "localhost", 1, t.ok(server_config(server "server")))
  t.raises("no tls option nonsense", hawser.tls.connect, "127.0.0.1", 1, { nonsense = 1 })
  t.raises("bad argument", hawser.tls.accept, t.pair(), {})
end)

t.test("what files and texts hold is no misuse", function()
  local config, server_config = hawser.tls.config, hawser.tls.server_config
  fails(errno.ENOENT, "no such file", config { ca_file = "/nowhere/ca.pem" })
  fails(errno.ENOENT, "no such file", config(client { cert_file = "/nowhere/a.pem", key_file = "/nowhere/a.key" }))
  fails(errno.ENOENT, "no such file", config(client { crl_file = "/nowhere/crl.pem" }))
  fails(errno.ENOENT, "no such file", server_config { cert_file = path "server.pem", key_file = "/nowhere/server.key" })
  fails(errno.ENOENT, "no such file", server_config(server("server", { ocsp_staple_file = "/nowhere/staple" })))
  fails(errno.ENOENT, "no such file",
    server_config(server("server", { keypairs = { { cert_file = path "server.pem", key_file = "/nowhere/server.key" } } })))
  fails(errno.ENOENT, "no such file", hawser.tls.connect("127.0.0.1", 1, { ca_file = "/nowhere/ca.pem" }))
  fails(errno.ENOENT, "no such file", hawser.tls.connecta(hawser.address("127.0.0.1", 1), "localhost", { ca_file = "/nowhere/ca.pem" }))
  fails(errno.ENOENT, "no such file", hawser.tls.listen("127.0.0.1", 0, { cert_file = "/nowhere/a.pem", key_file = "/nowhere/a.key" }))
  for _, refused in ipairs {
    { ca_pem = "no certificate" },
    { ca_file = path "ca.pem", ca_pem = content "ca.pem" },
    { ca_file = path "ca.pem\0" },
    client { verify_depth = -1 },
    client { protocols = "tlsv1.0" },
    client { protocols = "nonsense" },
    client { ciphers = "nonsense" },
    client { curves = "nonsense" },
    client { cert_file = path "client.pem" },
    client { cert_file = path "client.pem", key_file = path "server.key" },
    client { insecure_no_verify_certificate = true },
  } do
    local made, message, number = config(refused)
    t.eq(made, nil)
    t.eq(type(message), "string")
    t.eq(type(number), "number")
  end
  for _, refused in ipairs {
    { cert_file = path "server.pem" },
    { cert_pem = "no certificate", key_pem = content "server.key" },
    server("server", { key_file = path "client.key" }),
    server("server", { require_client_certificate = true }),
    server("server", { keypairs = { {} } }),
    server("server", { keypairs = { { cert_pem = content "client.pem", key_pem = "no key" } } }),
  } do
    local made, message, number = server_config(refused)
    t.eq(made, nil)
    t.eq(type(message), "string")
    t.eq(type(number), "number")
  end
end)

t.test("every option is taken by its name", function()
  local values = {
    ca_pem = content "ca.pem", cert_pem = content "client.pem", key_pem = content "client.key", alpn = "h2", ciphers = "compat",
    curves = "P-256", protocols = "tlsv1.3", verify_depth = 3, require_ocsp_stapling = true, insecure_no_verify_name = true,
    insecure_no_verify_time = true,
  }
  local not_together = { ca_file = true, ca_path = true, cert_file = true, key_file = true, crl_file = true, insecure_no_verify_certificate = true }
  for _, name in ipairs(hawser.tls.options().client) do t.ok(values[name] ~= nil or not_together[name], name) end
  t.ok(hawser.tls.config(values))
  values = server("server", {
    client_ca_pem = content "ca.pem", alpn = "h2", ciphers = "compat", curves = "P-256", protocols = "tlsv1.2,tlsv1.3", dhe_params = "auto",
    verify_depth = 3, require_client_certificate = true, prefer_client_ciphers = true,
  })
  not_together = { client_ca_file = true, client_crl_file = true, ocsp_staple_file = true, request_client_certificate = true }
  for _, name in ipairs(hawser.tls.options().server) do t.ok(values[name] ~= nil or not_together[name], name) end
  t.ok(hawser.tls.server_config(values))
end)

t.done()
