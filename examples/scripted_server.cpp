// scripted_server: a C++ service whose protocol is a Lua script. C++ has the sockets, the data and the log; the script has
// each conversation, in tasks of its own on the same reactor.

#include <CLI/CLI.hpp>
#include <hawser/hawser.hpp>
#include <hawser/lua/embed.hpp>

#include <csignal>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "support.hpp"

namespace hw = hawser;

namespace {

struct options {
    std::string script, modules, cert_file, key_file;
    std::uint16_t port = 7010;
};

struct close_lua {
    void operator()(lua_State* L) const { lua_close(L); }
};
using lua_state = std::unique_ptr<lua_State, close_lua>;

lua_state open_lua(const std::string& modules) {
    lua_state made{luaL_newstate()};
    if (!made) throw std::bad_alloc{};
    lua_State* L = made.get();
    luaL_openlibs(L);
    hw::lua::open(L);
    if (!modules.empty()) {
        lua_getglobal(L, "package");
        lua_pushfstring(L, "%s/?.lua", modules.c_str());
        lua_setfield(L, -2, "path");
        lua_pop(L, 1);
    }
    return made;
}

/// What the scripts may ask for: a table of strings that C++ keeps. A change of a key wakes who waits for it.
class store {
public:
    std::optional<std::string> find(const std::string& key) const {
        const auto at = values_.find(key);
        return at == values_.end() ? std::nullopt : std::optional{at->second};
    }
    void set(const std::string& key, std::string value) {
        values_[key] = std::move(value);
        changed_.set();
        changed_.reset();
    }
    /// A coroutine of C++ for which a script waits, and which a stop of the script's task stops.
    hw::task<std::string> changed(std::string key) {
        const auto before = find(key);
        for (;;) {
            co_await changed_.wait();
            const auto now = find(key);
            if (now && now != before) co_return *now;
        }
    }

private:
    std::map<std::string, std::string> values_;
    hw::event changed_;
};

/// The log of the scripts, which send lines to a channel.
hw::task<> print_log(hw::lua::channel& lines) {
    while (auto line = co_await lines.receive<std::string>()) std::cout << *line << std::endl;
}

class service {
public:
    explicit service(const options& of) : of_{of}, lua_{open_lua(of.modules)}, log_{lua_.get(), 64} {
        lua_State* L = lua_.get();
        hw::lua::set_function(L, "get", [this](const std::string& key) { return data_.find(key); });
        hw::lua::set_function(L, "set", [this](const std::string& key, const std::string& value) { data_.set(key, value); });
        hw::lua::set_function(L, "changed", [this](const std::string& key) { return data_.changed(key); });
        load();
    }

    hw::task<> run() {
        auto all = [this](hw::scope& tasks) -> hw::task<> {
            tasks.spawn(print_log, std::ref(log_));
            tasks.spawn([this] { return reload(); });
            if (of_.cert_file.empty()) co_await serve_tcp(tasks);
            else co_await serve_tls();
        };
        co_await hw::with_scope(all);
    }

private:
    /// Runs the script, which returns the function that serves a client. Not in a task: it only defines things.
    void load() { conversation_ = hw::lua::load_file(lua_.get(), of_.script); }

    /// SIGHUP: clients from now on get the new script, the others go on with theirs.
    hw::task<> reload() {
        for (;;) {
            co_await hw::next_signal(SIGHUP);
            try {
                load();
                std::cout << "loaded " << of_.script << std::endl;
            } catch (const hw::lua::script_error& e) {
                std::cerr << "scripted_server: " << e.what() << "; the old script stays\n";
            }
        }
    }

    /// Hands one client to the script. What goes wrong with it is of no concern to the others.
    hw::task<> converse(hw::any_stream line) {
        const std::string who = line.peer_name();
        try {
            co_await hw::lua::call(conversation_, std::move(line), log_);
        } catch (const hw::lua::script_error& e) {
            std::cerr << who << ": " << e.what() << '\n' << e.traceback() << '\n';
        }
    }

    hw::task<> serve_tcp(hw::scope& clients) {
        hw::tcp::listener door{hw::endpoint::any(of_.port)};
        std::cout << "listening on " << door.local_endpoint().to_string() << std::endl;
        for (;;) {
            hw::any_stream line = co_await door.accept();
            clients.spawn([this](hw::any_stream accepted) { return converse(std::move(accepted)); }, std::move(line));
        }
    }
    hw::task<> serve_tls() {
        const auto certificate = hw::tls::server_config::from_files(of_.cert_file, of_.key_file);
        hw::tls::listener door{certificate, hw::endpoint::any(of_.port)};
        std::cout << "listening on " << door.local_endpoint().to_string() << std::endl;
        co_await door.serve([this](hw::tls::stream& line) { return converse(hw::any_stream{std::move(line)}); });
    }

    const options& of_;
    lua_state lua_;
    hw::lua::channel log_;
    hw::lua::reference conversation_;
    store data_;
};

}  // namespace

int main(int argc, char** argv) {
    options of;
    CLI::App app{"Serves clients as a Lua script says. SIGHUP loads it anew; SIGINT or SIGTERM stops the server: exit status 0.\n"
                 "The script is called as f(stream, log) for each client, and has get(key), set(key, value) and changed(key), which waits."};
    app.add_option("script", of.script, "The Lua file")->required()->check(CLI::ExistingFile);
    app.add_option("--modules", of.modules, "Directory of hawser.lua, if it is not installed");
    app.add_option("--port", of.port, "Port to listen on; 0 takes a free one")->capture_default_str();
    CLI::Option* cert = app.add_option("--cert", of.cert_file, "Certificate (PEM): serve TLS");
    CLI::Option* key = app.add_option("--key", of.key_file, "The key of the certificate (PEM)");
    cert->needs(key);
    key->needs(cert);
    CLI11_PARSE(app, argc, argv);
    raise_descriptor_limit();
    try {
        service all{of};
        return hw::run_main(all.run());
    } catch (const std::exception& e) {
        std::cerr << "scripted_server: " << e.what() << '\n';
        return 1;
    }
}
