-- One GET of HTTP/1.1 at a time, each over a connection of its own. The body is handed on as it comes.

local hawser = require "hawser"
local errno = hawser.errno

local http = {}

local piece_size = 65536

-- An error that may be another one next time, as against one that will be the same.
local function transient(message) return nil, message, true end
local function permanent(message) return nil, message, false end

-- Why a read gave nothing; the end of the stream where there is no message.
local function cut_short(message, where)
  return transient(("%s %s"):format(message or "the server ended the stream", where))
end

local function connect(url, tls)
  if url.scheme == "https" then return hawser.tls.connect(url.host, url.port, tls) end
  return hawser.tcp.connect(url.host, url.port)
end

-- A status line and the header fields after it: by their names in lower case, equal ones joined by commas.
local function parse_head(head)
  local minor, status, reason = head:match("^HTTP/1%.([01]) (%d%d%d) ?([^\r\n]*)")
  if not status then return permanent("the answer is no HTTP/1.1") end
  local answer = { head = head, status = tonumber(status), reason = reason, minor = tonumber(minor), fields = {} }
  for text in head:match("\n(.*)$"):gmatch("([^\n]*)\n") do
    text = text:gsub("\r$", "")
    if text == "" then break end
    local name, value = text:match("^([%w!#$%%&'*+.^_`|~-]+):[ \t]*(.-)[ \t]*$")
    if not name or value:find("[%z\r]") then return permanent(("the answer has a line that is no header field: %q"):format(text)) end
    name = name:lower()
    answer.fields[name] = answer.fields[name] and answer.fields[name] .. ", " .. value or value
  end
  return answer
end

local function read_head(line)
  while true do
    local head, message = line:read("h")
    if not head then return cut_short(message, "before its answer was complete") end
    local answer, why, again = parse_head(head)
    -- "100 Continue" and its like announce the answer.
    if not answer or answer.status < 100 or answer.status >= 200 then return answer, why, again end
  end
end

-- So many bytes; fewer are an error.
local function read_exactly(line, count, sink)
  while count > 0 do
    local piece, message = line:read(math.min(count, piece_size))
    if not piece then return cut_short(message, ("%d bytes before the end of the body"):format(count)) end
    count = count - #piece
    local ok, why = sink(piece)
    if not ok then return permanent(why) end
  end
  return true
end

local function read_to_the_end(line, sink)
  while true do
    local piece, message = line:read("b")
    if not piece then
      -- Without a length only a proper end tells a whole body from a part of it.
      if message then return cut_short(message, "in the body") end
      return true
    end
    local ok, why = sink(piece)
    if not ok then return permanent(why) end
  end
end

local function read_chunks(line, sink)
  while true do
    local text, message = line:read("l")
    if not text then return cut_short(message, "between two chunks of the body") end
    local digits = text:match("^(%x+)[ \t]*$") or text:match("^(%x+)[ \t]*;")
    -- Thirteen digits are what a number of LuaJIT holds.
    if not digits or #digits > 13 then return permanent(("the body has a chunk size that is none: %q"):format(text:sub(1, 80))) end
    local size = tonumber(digits, 16)
    if size == 0 then break end
    local ok, why, again = read_exactly(line, size, sink)
    if not ok then return nil, why, again end
    text, message = line:read("l")
    if not text then return cut_short(message, "after a chunk of the body") end
    if text ~= "" then return permanent("the body has a chunk that is longer than its size") end
  end
  -- What follows the last chunk are header fields, of no use here.
  for _ = 1, 100 do
    local text, message = line:read("l")
    if not text then return cut_short(message, "after the last chunk of the body") end
    if text == "" then return true end
  end
  return permanent("the body has too many header fields after it")
end

local function read_body(line, answer, sink)
  local coding, length = answer.fields["transfer-encoding"], answer.fields["content-length"]
  if answer.status == 204 or answer.status == 304 then return true end
  if coding then
    if length then return permanent("the answer has both a Transfer-Encoding and a Content-Length") end
    if coding:lower() ~= "chunked" then return permanent("the answer has a Transfer-Encoding other than chunked: " .. coding) end
    return read_chunks(line, sink)
  end
  if not length then return read_to_the_end(line, sink) end
  if not length:find("^%d+$") or #length > 15 then return permanent("the answer has a Content-Length that is none: " .. length) end
  return read_exactly(line, tonumber(length), sink)
end

local function converse(line, url, options)
  line:setlimits { line = 8192 }
  local sent, message = line:write("GET ", url.target, " HTTP/1.1\r\nHost: ", url.host_header, "\r\nUser-Agent: hawser-lua\r\n",
    "Accept: */*\r\nConnection: close\r\n\r\n")
  if not sent then return transient(message) end
  local answer, why, again = read_head(line)
  if not answer then return nil, why, again end
  local sink
  sink, why = options.begin(answer)
  if not sink then return permanent(why) end
  local ok
  ok, why, again = read_body(line, answer, sink)
  if not ok then return nil, why, again end
  return answer
end

local function exchange(url, options)
  local line, message, number = connect(url, options.tls)
  if not line then
    -- A certificate that is refused, no authorities, no such host: the same at the next attempt.
    return nil, message, number ~= errno.EPROTO and number ~= errno.ENOENT and number ~= errno.EAI_NONAME
  end
  local answer, why, again = converse(line, url, options)
  if not answer then
    line:abort()
    return nil, why, again
  end
  -- The answer is here; it does not matter whether the server hears the goodbye.
  hawser.with_timeout(0.5, line.close, line)
  return answer
end

--- GET of an absolute URL. options: begin(answer), which gives the function that each piece of the body is handed to and that
-- gives true, or nil and why not; tls, a config; timeout, in seconds for everything (60). Gives the answer: status, reason,
-- fields, head; or nil, a message, and whether another attempt may end better.
function http.get(text, options)
  local url, message = hawser.url(text)
  if not url then return permanent(message) end
  if url.user then return permanent("user names and passwords in URLs are not sent") end
  local limit = options.timeout or 60
  local answer, why, again = hawser.with_timeout(limit, exchange, url, options)
  if again == errno.ETIMEDOUT then return transient(("timed out: this took more than %g seconds"):format(limit)) end
  return answer, why, again
end

--- What an answer says in one line.
function http.describe(answer)
  local text = ("the server answered %d %s"):format(answer.status, answer.reason)
  local to = answer.fields.location
  if to then text = ("%s: it has moved to %s, which is not followed"):format(text, to) end
  return text
end

return http
