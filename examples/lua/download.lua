-- Files over HTTP and HTTPS, in parallel, with a progress line: usage in the text below.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local hawser = require "hawser"
local command_line = require "command_line"
local http = require "http_client"

local usage = [[
usage: download.lua [OPTION...] URL...

Downloads files, many at once, each named by the last segment of its path (index.html if that is empty; NAME.2 and so on
for equal ones). A file is there as a whole or not at all. Redirects are errors that say where to. What may end better at
another attempt is tried again.

  --input FILE       also the URLs in FILE, one on a line; - is the standard input
  --output DIR       where the files go (.)
  --concurrency N    files in progress at once (32)
  --retries N        further attempts for each file (2)
  --timeout SECONDS  for one attempt (60)
  --cacert FILE      certificate authorities to trust (PEM) instead of the system's

Exit status: 0 when every file is there, 1 when one is not, 2 for a wrong command line, 130 after Ctrl-C.
]]

local options, urls = command_line.read(usage, {
  input = {},
  output = { default = "." },
  concurrency = { default = 32, least = 1, most = 10000, whole = true },
  retries = { default = 2, least = 0, most = 100, whole = true },
  timeout = { default = 60, least = 0.001, most = 1e6 },
  cacert = {},
})
local tls = command_line.prepare(usage, options, urls)

local terminal = command_line.on_terminal()
local start = hawser.now()
local done, failed, bytes = 0, 0, 0

local function clear_line()
  if terminal then io.stderr:write("\r\27[K") end
end

local function show_progress()
  local took = math.max(hawser.now() - start, 0.001)
  io.stderr:write(("%s%d of %d files, %.1f MiB, %.1f MiB/s%s"):format(terminal and "\r" or "", done + failed, #urls,
    bytes / 2 ^ 20, bytes / 2 ^ 20 / took, terminal and "\27[K" or "\n"))
end

-- A terminal's line moves by itself; elsewhere there is a line for each tenth.
local function one_ended()
  local now, all = done + failed, #urls
  if not terminal and all >= 10 and math.floor(now * 10 / all) ~= math.floor((now - 1) * 10 / all) then show_progress() end
end

local function attempt(file)
  local partial = file.path .. ".part"
  local out
  local answer, why, again = http.get(file.url, {
    tls = tls,
    timeout = options.timeout,
    begin = function(answer)
      if answer.status ~= 200 then return function() return true end end
      local message
      out, message = io.open(partial, "wb")
      if not out then return nil, message end
      return function(piece)
        bytes = bytes + #piece
        return out:write(piece)
      end
    end,
  })
  if answer and not out then
    -- The trouble of a server may pass; what it refuses it will refuse again.
    return nil, http.describe(answer), answer.status >= 500
  end
  if out then
    local kept, message = out:close()
    if answer and kept then kept, message = os.rename(partial, file.path) end
    if answer and not kept then answer, why, again = nil, message, false end
    if not answer then os.remove(partial) end
  end
  return answer, why, again
end

local function download(file)
  local ok, why, again
  for try = 0, options.retries do
    -- Each wait is twice as long as the one before.
    if try > 0 and not hawser.sleep(0.1 * 2 ^ math.min(try, 8)) then break end
    ok, why, again = nil, "the path of this URL names no file", false
    if file.path then ok, why, again = attempt(file) end
    if ok or not again or hawser.current():is_stopped() then break end
  end
  if ok then
    done = done + 1
  elseif hawser.current():is_stopped() then
    return
  else
    failed = failed + 1
    clear_line()
    io.stderr:write(("download: %s: %s\n"):format(file.url, why))
  end
  one_ended()
end

local unique = command_line.unique_names { ".part" }
local function path_of(text)
  local url = hawser.url(text)
  local name = url and hawser.url.decode(url.path:match("[^/]*$")) or ""
  if name == "" then name = "index.html" end
  if name == "." or name == ".." or name:find("[/%z]") then return nil end
  return options.output .. "/" .. unique(name)
end

local files = {}
for i, text in ipairs(urls) do files[i] = { url = text, path = path_of(text) } end

local interrupted = command_line.run(function()
  hawser.scope(function(display)
    local ticker = display:spawn(function()
      while terminal and hawser.sleep(0.1) do show_progress() end
    end)
    command_line.each(files, options.concurrency, download)
    ticker:cancel()
  end)
end)

clear_line()
io.stderr:write(("downloaded %d files, %d bytes, %.2f s, %d failed"):format(done, bytes, hawser.now() - start, failed))
if interrupted then io.stderr:write((", interrupted with %d to go"):format(#files - done - failed)) end
io.stderr:write("\n")
os.exit(interrupted and 130 or failed > 0 and 1 or 0, true)
