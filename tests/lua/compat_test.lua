local hawser = require "hawser"
local core = require "hawser.core"
local compat = require "hawser.compat"
local t = require "harness"
local syslog, url, dns, tcp, tls, nfl = compat()
local errno = hawser.errno
local certs = assert(t.certificates, "HAWSER_CERTS is not set")

local logged = {}
syslog.sink(function(level, message, ident) logged[#logged + 1] = { level = level, message = message, ident = ident } end)

-- What was logged since the last call.
local function take_log()
  local taken = logged
  logged = {}
  return taken
end

local function server_config(config)
  return config:cert_file(certs .. "/server.pem") and config:key_file(certs .. "/server.key")
end
local function client_config(config) return config:ca_file(certs .. "/ca.pem") end

-- Runs f as a coroutine of nfl, with the loop around it.
local function case(name, f)
  t.test(name, function()
    local failure
    nfl.spawn(function()
      local ok, err = xpcall(f, debug.traceback)
      if not ok then failure = err end
    end)
    t.eq(nfl.client_eventloop(), true)
    if failure then error(failure, 0) end
  end)
end

t.test("the six names, and in which order", function()
  local names = { "syslog", "url", "dns", "tcp", "tls", "nfl" }
  local given = { compat() }
  t.eq(#given, 6)
  for i, name in ipairs(names) do t.eq(given[i], compat[name], name) end
  t.eq(type(getmetatable(syslog).__call), "function")
  for of, list in pairs {
    [syslog] = { "open", "close", "log", "sink" },
    [url] = { "match" },
    [dns] = { "address" },
    [tcp] = { "connecta", "connect", "listens", "listena", "listen" },
    [tls] = { "connecta", "connect", "listens", "listena", "listen" },
    [nfl] = { "spawn", "schedule", "timeout", "client_eventloop", "server_eventloop" },
  } do
    for _, name in ipairs(list) do t.eq(type(of[name]), "function", name) end
  end
end)

-- syslog

t.test("syslog: every level, and what it gives", function()
  take_log()
  for _, level in ipairs { "alert", "crit", "critical", "debug", "emerg", "emergency", "err", "error", "info", "notice", "warn", "warning" } do
    t.eq(select("#", syslog(level, "%s is %d", level, 7)), 0)
  end
  local seen = take_log()
  t.eq(#seen, 12)
  t.eq(seen[4].level, "debug")
  t.eq(seen[4].message, "debug is 7")
  syslog.log("info", "plain")
  t.eq(take_log()[1].message, "plain")
end)

t.test("syslog: misuse raises", function()
  t.raises("no such level of syslog: loud", syslog, "loud", "x")
  t.raises("no such level of syslog: nil", syslog)
  t.raises("bad argument", syslog, "debug", "%d", "no number")
  t.raises("sink of syslog", syslog.sink, "printer")
  t.raises("no such level", syslog.sink, "none", "loud")
end)

t.test("syslog: the name, and the least level", function()
  local function note(level, message, ident) logged[#logged + 1] = { level = level, message = message, ident = ident } end
  syslog.sink(note, "error")
  syslog.open("fetcher", "daemon")
  syslog("warning", "not this")
  syslog("error", "but this")
  syslog.close()
  syslog("crit", "and this")
  local seen = take_log()
  t.eq(#seen, 2)
  t.eq(seen[1].message, "but this")
  t.eq(seen[1].ident, "fetcher")
  t.eq(seen[2].ident, nil)
  syslog.sink("none")
  syslog("emerg", "nobody sees it")
  syslog.sink(note)
  t.eq(#take_log(), 0)
end)

-- url

t.test("url:match: all parts", function()
  local u = t.ok(url:match("https://me@[::1]:8443/a/b/?q=1&r=2#end"))
  t.eq(u.scheme, "https")
  t.eq(u.user, "me")
  t.eq(u.host, "::1")
  t.eq(u.port, 8443)
  t.eq(math.type and math.type(u.port) or "integer", "integer")
  t.eq(#u.path, 3)
  t.eq(table.concat(u.path, "/"), "a/b/")
  t.eq(u.path.root, true)
  t.eq(u.query, "q=1&r=2")
  t.eq(u.fragment, "end")
end)

t.test("url:match: what is left out", function()
  local u = t.ok(url:match("http://example.com"))
  t.eq(u.port, 80)
  t.eq(table.concat(u.path, "/"), "")
  t.eq(u.query, nil)
  t.eq(u.fragment, nil)
  t.eq(u.user, nil)
  t.eq(t.ok(url:match("https://example.com/x")).port, 443)
end)

t.test("url:match: the path stays encoded, and cannot inject lines", function()
  for _, path in ipairs { "a%2Fb/c", "%0d%0aHost:%20x/y", "%E2%82%AC", "a//b", "~x/=;,/" } do
    t.eq(table.concat(t.ok(url:match("http://h/" .. path)).path, "/"), path)
  end
  for _, bad in ipairs { "http://h/a\r\nX: y", "http://h/a\nb", "http://h/\0", "http://h/a b" } do
    local u = url:match(bad)
    if u then t.eq(table.concat(u.path, "/"):find("[%c ]"), nil, bad) end
  end
end)

t.test("url:match: nil for what is no URL", function()
  for _, bad in ipairs { "", "example.com/x", "http://", "http://h:99999/", "http://[::1/", "http://a b/", "mailto:x@y" } do
    local u, message, number = url:match(bad)
    t.eq(u, nil, bad)
    t.eq(type(message), "string")
    t.eq(number, errno.EINVAL)
  end
end)

-- dns

case("dns.address: addresses", function()
  local found = t.ok(dns.address("127.0.0.1", "ip", "tcp", 443))
  t.eq(#found, 1)
  t.eq(tostring(found[1]), "127.0.0.1:443")
  t.eq(found[1].family, "ip")
  t.eq(found[1].port, 443)
  t.eq(found[1].addr, "127.0.0.1")
  t.eq(t.ok(dns.address("::1", "any", "tcp", 80))[1].family, "ip6")
  t.eq(tostring(t.ok(dns.address("[::1]", "ip6", 6, "8080"))[1]), "[::1]:8080")
  for _, each in ipairs(t.ok(dns.address("localhost", "ip", "tcp", 80))) do t.eq(each.family, "ip") end
  t.eq(t.ok(dns.address("127.0.0.1"))[1].port, 0)
end)

case("dns.address: failure", function()
  local found, message, number = dns.address("::1", "ip", "tcp", 80)
  t.eq(found, nil)
  t.eq(type(message), "string")
  t.eq(type(number), "number")
  t.eq(dns.address("127.0.0.1", "ip", "udp", 80), nil)
  t.raises("bad argument", dns.address, "127.0.0.1", "nothing", "tcp", 80)
end)

-- tcp

case("tcp: listen and connect", function()
  local door = t.ok(tcp.listen("127.0.0.1", 0, function(ios)
    ios:write(ios:read("*l"), " yourself\n")
    ios:close()
  end))
  local near = t.ok(tcp.connecta(door:address(), 10))
  t.eq(near:write("hello\n"), near)
  t.eq(near:read("*a"), "hello yourself\n")
  near:close()
  near = t.ok(tcp.connect("localhost", door:address().port))
  near:write("again\n")
  t.eq(near:read("*l"), "again yourself")
  near:close()
  door:close()
end)

case("tcp: listena and listens", function()
  local function mainf(ios)
    ios:write("here\n")
    ios:close()
  end
  local door = t.ok(tcp.listena(hawser.address("127.0.0.1", 0), mainf))
  local other = t.ok(hawser.tcp.listen("127.0.0.1", 0))
  t.eq(tcp.listens(other, mainf), other)
  for _, each in ipairs { door, other } do
    local near = t.ok(tcp.connecta(each:address()))
    t.eq(near:read("*l"), "here")
    near:close()
    each:close()
  end
end)

case("tcp: failures come as nil, message, number", function()
  local door = t.ok(hawser.tcp.listen("127.0.0.1", 0))
  local at = door:address()
  local second, message, number = tcp.listena(at, print)
  t.eq(second, nil)
  t.eq(type(message), "string")
  t.eq(number, errno.EADDRINUSE)
  door:close()
  local near
  near, message, number = tcp.connecta(at)
  t.eq(near, nil)
  t.ok(message:find(tostring(at), 1, true), message)
  t.eq(number, errno.ECONNREFUSED)
  near, message, number = tcp.connecta(nil)
  t.eq(near, nil)
  t.eq(type(message), "string")
  t.eq(number, errno.EINVAL)
end)

case("tcp: an error in mainf ends its connection and is logged", function()
  take_log()
  local door = t.ok(tcp.listen("127.0.0.1", 0, function(ios)
    if ios:read("*l") == "fail" then error("mainf is broken") end
    ios:write("fine\n")
    ios:close()
  end))
  local bad, good = t.ok(tcp.connecta(door:address())), t.ok(tcp.connecta(door:address()))
  bad:write("fail\n")
  t.eq(bad:read("*l"), nil)
  bad:close()
  good:write("work\n")
  t.eq(good:read("*l"), "fine")
  good:close()
  door:close()
  local seen = take_log()
  t.eq(#seen, 1)
  t.eq(seen[1].level, "error")
  t.ok(seen[1].message:find("mainf is broken"), seen[1].message)
end)

-- tls

case("tls: listen and connecta with functions that configure", function()
  local door = t.ok(tls.listen("127.0.0.1", 0, function(ios)
    t.eq(ios:is_tls(), true)
    ios:write("secret ", ios:session().servername or "?", "\n")
    ios:close()
  end, server_config))
  local near = t.ok(tls.connecta(door:address(), "localhost", 10, client_config))
  t.eq(near:handshake(), near)
  t.eq(near:peer().provided, true)
  t.eq(near:read("*a"), "secret localhost\n")
  near:close()
  door:close()
end)

case("tls: options as a table, listena, listens and connect", function()
  local function mainf(ios)
    ios:write("here\n")
    ios:close()
  end
  local pair = { cert_file = certs .. "/server.pem", key_file = certs .. "/server.key" }
  local door = t.ok(tls.listena(hawser.address("127.0.0.1", 0), mainf, pair))
  local other = t.ok(hawser.tcp.listen("127.0.0.1", 0))
  t.eq(tls.listens(other, mainf, pair), other)
  for _, each in ipairs { door, other } do
    local near = t.ok(tls.connect("localhost", each:address().port, 10, { ca_file = certs .. "/ca.pem" }))
    t.eq(near:read("*a"), "here\n")
    near:close()
    each:close()
  end
end)

case("tls: a name that is not in the certificate is refused before there is a stream", function()
  take_log()
  local door = t.ok(tls.listen("127.0.0.1", 0, function(ios) ios:close() end, server_config))
  local near, message, number = tls.connecta(door:address(), "other.example", 10, client_config)
  t.eq(near, nil)
  t.ok(message:find("other.example", 1, true), message)
  t.eq(number, errno.EPROTO)
  -- Without the authority it is refused too.
  t.eq(tls.connecta(door:address(), "localhost", 10, { ca_file = certs .. "/other-ca.pem" }), nil)
  door:close()
end)

case("tls: a function that configures and fails", function()
  local at = hawser.address("127.0.0.1", 1)
  local near, message, number = tls.connecta(at, "localhost", 1, function() return false end)
  t.eq(near, nil)
  t.ok(message:find("did not return true"), message)
  t.eq(number, errno.EINVAL)
  near, message = tls.connecta(at, "localhost", 1, function(config)
    local set = config:session_fd(3)
    t.eq(set, false)
    t.ok(config:error():find("session_fd is not supported"))
    return set
  end)
  t.eq(near, nil)
  t.ok(message:find("session_fd is not supported"), message)
  near, message = tls.connecta(at, "localhost", 1, function(config) return config:ca_file("/nowhere/ca.pem") end)
  t.eq(near, nil)
  t.ok(message:find("/nowhere/ca.pem", 1, true), message)
  local door
  door, message = tls.listen("127.0.0.1", 0, print, function() return true end)
  t.eq(door, nil)
  t.ok(message:find("no certificate"), message)
  t.raises("needs a certificate", tls.listen, "127.0.0.1", 0, print)
end)

case("tls: what the configuring function can set", function()
  local function text(name)
    local file = assert(io.open(certs .. "/" .. name))
    local all = file:read("*a")
    file:close()
    return all
  end
  local door = t.ok(tls.listen("127.0.0.1", 0, function(ios)
    ios:write(ios:session().alpn, " ", ios:peer().provided and "known" or "unknown", "\n")
    ios:close()
  end, function(config)
    return config:keypair_mem(text("server.pem"), text("server.key")) and config:alpn("one,two") and config:ca_mem(text("ca.pem"))
      and config:verify_client() and config:prefer_ciphers_server() and config:dheparams("auto") and config:protocols("all")
  end))
  local near = t.ok(tls.connecta(door:address(), "localhost", 10, function(config)
    config:insecure_no_verify_name()
    config:verify()
    return config:ca_mem(text("ca.pem")) and config:keypair_file(certs .. "/client.pem", certs .. "/client.key") and config:alpn("two")
      and config:verify_depth(3) and config:ecdhecurves("X25519,P-256") and config:protocols("tlsv1.0:tlsv1.2") and config:verify_client()
  end))
  t.eq(near:session().version, "TLSv1.2")
  t.eq(near:read("*a"), "two known\n")
  near:close()
  local refused, message = tls.connecta(door:address(), "localhost", 10, function(config) return config:protocols("tlsv1.0,tlsv1.1") end)
  t.eq(refused, nil)
  t.ok(message:find("older than TLS 1.2"), message)
  -- verify() has taken the exception back.
  refused = tls.connecta(door:address(), "other.example", 10, function(config)
    config:insecure_no_verify_name()
    config:verify()
    return client_config(config)
  end)
  t.eq(refused, nil)
  door:close()
end)

-- nfl

t.test("nfl: spawn gives a coroutine, and the loop runs it with its arguments", function()
  local seen
  local co = nfl.spawn(function(...) seen = { n = select("#", ...), ... } end, 1, nil, "three")
  t.eq(type(co), "thread")
  t.eq(seen, nil)
  t.eq(nfl.client_eventloop(), true)
  t.eq(seen.n, 3)
  t.eq(seen[3], "three")
  t.eq(coroutine.status(co), "dead")
  t.raises("needs a function", nfl.spawn, 1)
end)

t.test("nfl: client_eventloop waits for all, also those that come later", function()
  local ends = 0
  for _ = 1, 10 do
    nfl.spawn(function()
      hawser.sleep(0.001)
      nfl.spawn(function()
        hawser.sleep(0.001)
        ends = ends + 1
      end)
    end)
  end
  nfl.client_eventloop()
  t.eq(ends, 10)
  t.eq(nfl.client_eventloop(), true)
end)

t.test("nfl: yield parks until schedule, which gives the values", function()
  local seen
  local co = nfl.spawn(function() seen = { coroutine.yield() } end)
  nfl.spawn(function()
    t.eq(nfl.schedule(co, "a", nil, "c"), true)
    t.eq(nfl.schedule(co, "too late"), false)
  end)
  nfl.client_eventloop()
  t.eq(seen[1], "a")
  t.eq(seen[3], "c")
  t.eq(nfl.schedule(co), false)
  t.raises("needs a coroutine", nfl.schedule, nil)
end)

t.test("nfl: schedule does not disturb a read", function()
  local near, far = t.pair()
  local line, woken
  local co = nfl.spawn(function()
    line = near:read("*l")
    near:close()
  end)
  nfl.spawn(function()
    hawser.yield()
    woken = nfl.schedule(co, "not data")
    far:write("data\n")
    far:close()
  end)
  nfl.client_eventloop()
  t.eq(woken, false)
  t.eq(line, "data")
end)

case("nfl: timeout resumes a coroutine that yields", function()
  nfl.timeout(0.01, "over", 2)
  local a, b = coroutine.yield()
  t.eq(a, "over")
  t.eq(b, 2)
  -- The time is used up: what follows is not cut short.
  t.eq(hawser.sleep(0.01), true)
end)

t.test("nfl: timeout(0) takes it back", function()
  local seen
  local co = nfl.spawn(function()
    nfl.timeout(0.01, "timer")
    nfl.timeout(0)
    seen = coroutine.yield()
  end)
  nfl.spawn(function()
    hawser.sleep(0.03)
    nfl.schedule(co, "schedule")
  end)
  nfl.client_eventloop()
  t.eq(seen, "schedule")
end)

case("nfl: timeout ends a read, and the next call of timeout lets go on", function()
  local near, far = t.pair()
  nfl.timeout(0.01)
  local line, message, number = near:read("*l")
  t.eq(line, nil)
  t.eq(message, "cancelled")
  t.eq(number, errno.ECANCELED)
  nfl.timeout(0)
  far:write("later\n")
  t.eq(near:read("*l"), "later")
  near:close()
  far:close()
end)

case("nfl: timeout of a coroutine that has ended harms nobody", function()
  local done = hawser.channel(1)
  nfl.spawn(function()
    nfl.timeout(0.01, "x")
    done:send(true)
  end)
  t.eq(done:receive(), true)
  t.eq(hawser.sleep(0.03), true)
end)

t.test("nfl: the timer of a coroutine ends with it", function()
  hawser.sleep(0.001)
  local before = core.tasks()
  nfl.spawn(function() nfl.timeout(60) end)
  nfl.client_eventloop()
  for _ = 1, 20 do hawser.yield() end
  t.eq(core.tasks(), before)
end)

t.test("nfl: timeout outside of a coroutine raises", function()
  t.raises("outside of a coroutine", nfl.timeout, 1)
end)

t.test("nfl: an error is logged with its traceback and harms no other", function()
  take_log()
  local function at_fault() error("broken here") end
  local fine = 0
  for i = 1, 5 do
    nfl.spawn(function()
      hawser.sleep(0.001 * i)
      if i == 2 then at_fault() end
      hawser.sleep(0.005)
      fine = fine + 1
    end)
  end
  nfl.client_eventloop()
  t.eq(fine, 4)
  local seen = take_log()
  t.eq(#seen, 1)
  t.eq(seen[1].level, "error")
  t.ok(seen[1].message:find("broken here"), seen[1].message)
  t.ok(seen[1].message:find("in .-'at_fault'"), seen[1].message)
end)

t.test("nfl: errors of any type, and of what a coroutine has begun by hawser.spawn", function()
  take_log()
  nfl.spawn(function() error({ code = 1 }) end)
  nfl.spawn(function() error(nil) end)
  nfl.spawn(function()
    hawser.spawn(function()
      hawser.sleep(0.001)
      error("the child failed")
    end)
  end)
  nfl.client_eventloop()
  local seen = take_log()
  t.eq(#seen, 3)
  t.ok(seen[3].message:find("the child failed"), seen[3].message)
end)

t.test("nfl: a sink that fails is no reason to stop", function()
  -- The message goes to stderr instead, which is not looked at here.
  local stderr = io.stderr
  local said = {}
  io.stderr = { write = function(_, ...) said[#said + 1] = table.concat({ ... }) end }  -- luacheck: ignore
  syslog.sink(function() error("sink") end)
  nfl.spawn(function() error("first") end)
  local ended
  nfl.spawn(function() ended = true end)
  local ok, err = pcall(nfl.client_eventloop)
  io.stderr = stderr  -- luacheck: ignore
  syslog.sink(function(level, message, ident) logged[#logged + 1] = { level = level, message = message, ident = ident } end)
  t.ok(ok, err)
  t.eq(ended, true)
  t.ok(table.concat(said):find("first"))
  t.ok(table.concat(said):find("the sink of syslog failed"))
end)

t.test("nfl: a coroutine that was closed is not waited for once it is scheduled", function()
  if not coroutine.close then return end
  local co = nfl.spawn(function() coroutine.yield() end)
  nfl.spawn(function()
    hawser.yield()
    coroutine.close(co)
    t.eq(nfl.schedule(co), false)
  end)
  nfl.client_eventloop()
end)

t.test("nfl: done() ends an event loop", function()
  local round, asked = 0, 0
  local co = nfl.spawn(function()
    while round < 3 do
      hawser.sleep(0.001)
      round = round + 1
    end
    coroutine.yield()
  end)
  t.eq(nfl.server_eventloop(function()
    asked = asked + 1
    return round == 3
  end), true)
  t.ok(asked > 0)
  t.eq(round, 3)
  -- It has parked, and goes on in the next loop.
  nfl.schedule(co)
  t.eq(nfl.client_eventloop(), true)
  t.eq(nfl.client_eventloop(function() return false end), true)
end)

t.test("nfl: a wait that nothing could end is an error and no hang", function()
  local co = nfl.spawn(function() coroutine.yield() end)
  t.raises("wait for ever", nfl.client_eventloop)
  t.eq(nfl.schedule(co), true)
  t.eq(nfl.client_eventloop(), true)
end)

case("nfl: an event loop inside of a coroutine raises", function()
  t.raises("would wait for itself", nfl.client_eventloop)
  t.raises("would wait for itself", nfl.server_eventloop)
end)

t.task("nfl: the event loop in a task, and its stop", function()
  local seen
  nfl.spawn(function()
    hawser.sleep(0.001)
    seen = "ended"
  end)
  t.eq(nfl.client_eventloop(), true)
  t.eq(seen, "ended")
  local number, parked
  nfl.spawn(function() number = select(3, hawser.sleep(60)) end)
  nfl.spawn(function() parked = select(3, coroutine.yield()) end)
  local ok, _, why = hawser.with_timeout(0.01, nfl.client_eventloop)
  t.eq(ok, nil)
  t.eq(why, errno.ETIMEDOUT)
  t.eq(number, errno.ECANCELED)
  t.eq(parked, errno.ECANCELED)
  t.eq(nfl.client_eventloop(), true)
end)

t.done()
