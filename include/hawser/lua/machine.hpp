#pragma once
// machine: what one Lua state has of hawser: the loop, the tasks, and who runs.

#include <cstdio>

#include <hawser/lua/task.hpp>
#include <hawser/reactor/uring.hpp>

namespace hawser::lua::detail {

/// Lives in a userdata of the Lua state, and so until all other finalizers have run. It makes a reactor of its own when it
/// first needs one, or takes that of the hawser::run() around it.
class machine final : hawser::detail::io_object {
public:
    /// Of the Lua function that runs, which has it as its first upvalue.
    static machine& of(state* L) {
        auto& m = *static_cast<machine*>(lua_touserdata(L, lua_upvalueindex(1)));
        if (m.closed_) luaL_error(L, "the Lua state is being closed");
        return m;
    }
    /// Of a Lua state in which it was made, or nullptr.
    static machine* find(state* L) {
        lua_pushlightuserdata(L, key());
        lua_rawget(L, LUA_REGISTRYINDEX);
        auto* found = static_cast<machine*>(lua_touserdata(L, -1));
        lua_pop(L, 1);
        return found;
    }
    /// Makes it, once for each Lua state.
    static machine& make(state* L);

    const ref<life>& alive() const noexcept { return life_; }
    reference take(state* L) { return reference{life_, L}; }
    /// nullptr: there is none, and message() says why.
    reactor* loop() noexcept;
    const std::string& message() const noexcept { return message_; }
    /// For a message that has to outlive what made it until it is pushed.
    std::string& scratch() noexcept { return message_; }
    /// Whether a C++ program runs the loop.
    bool embedded() const noexcept { return loop_ && !own_; }
    /// The task whose Lua code runs now, or nullptr.
    task* current() const noexcept { return current_; }

    /// The task on whose behalf `L` wants to wait; raises a Lua error that says what to do if it cannot.
    task& waiting_task(state* L, const char* what);
    /// Starts `p` (nullptr: memory was short) and waits: the last statement of a function that Lua calls.
    /// `stoppable`: a stop ends it, and so a stopped task that goes on to begin such operations ignores that.
    int await(state* L, task& t, pending* p, bool stoppable = true);
    /// The results of what has ended already, for a function that does not wait.
    int finish(state* L, pending* p);
    /// The cancel scope of whoever runs.
    const ref<cancel_scope>& scope() const noexcept { return (current_ ? current_ : stand_in_.get())->scope_; }
    task& running_task() const noexcept { return current_ ? *current_ : *stand_in_; }

    /// Makes a task of the function and its `arguments` on top of the stack, which it takes off, and queues it.
    ref<task> spawn(state* L, const ref<group>& in, int arguments);
    /// Wakes a task that parked itself, with the values on top of the stack. False: it does not wait for that.
    bool schedule(state* L, task& t, int arguments);
    /// Runs the loop on behalf of `L` until the event is set. Raises a Lua error where nothing could ever set it.
    void run_until(state* L, event& done, group& of);

    /// Takes the traceback on top of the stack off it and remembers it as that of the error below, for a task that will fail
    /// with that.
    void note_traceback(state* L);
    /// What a coroutine yields when it waits for an operation.
    static void* tag() noexcept {
        static char address;
        return &address;
    }
    /// Pushes the table of the coroutines within tasks that hand operations on, each with the one that resumed it.
    void push_inner_coroutines(state* L) const { lua_rawgeti(L, LUA_REGISTRYINDEX, inner_); }
    void on_error(reference handler) noexcept { on_error_ = std::move(handler); }
    std::size_t size() const noexcept { return size_; }

private:
    struct own_loop {
        own_loop() : io{reactor_options{}}, loop{io} {}
        hawser::detail::uring_backend io;
        reactor loop;
    };
    enum class ending : unsigned char { done, stuck, interrupted };

    explicit machine(state* home) : life_{new life{home}}, stand_in_{new task{*this, {}, {}, nullptr, 0}} {}
    static void* key() noexcept {
        static char address;
        return &address;
    }
    static int close(state* L);

    bool is_inner_coroutine(state* L);
    int await_here(state* L, pending* p);
    ending turn_until(state* L, const bool& done, bool gives_up) noexcept;
    bool interrupted(state* L) noexcept;

    void wake(task& t) noexcept;
    void park(task& t) noexcept;
    static int step(state* L);
    void settle(state* L, task& t, int status, int count);
    void end(task& t, task::status how) noexcept;
    void report(state* L, task& t);
    void drop_tasks() noexcept;

    void on_reactor_stop() noexcept override { tasks_.for_each([](task& t) { t.request_stop(); }); }
    void on_reactor_gone() noexcept override {
        drop_tasks();
        loop_ = nullptr;
    }

    friend class task;
    ref<life> life_;
    ref<task> stand_in_;  // waits on behalf of code outside of tasks
    task* current_ = nullptr;
    reactor* loop_ = nullptr;
    own_loop* own_ = nullptr;
    hawser::detail::list<task> tasks_;
    std::size_t size_ = 0;
    int step_ = LUA_NOREF, nothing_ = LUA_NOREF, inner_ = LUA_NOREF;
    reference on_error_, noted_error_;
    std::string noted_traceback_, message_;
    bool runs_ = false, closed_ = false;
};

inline hawser::detail::environment task::environment() const noexcept { return {machine_->loop(), scope_->token()}; }

inline machine& machine::make(state* L) {
    if (machine* made = find(L)) return *made;
    void* memory = lua_newuserdata(L, sizeof(machine));
    state* home = lua_newthread(L);
    static_cast<void>(luaL_ref(L, LUA_REGISTRYINDEX));
    auto* m = ::new (memory) machine{home};
    lua_newtable(L);
    lua_pushcfunction(L, &machine::close);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_pushlightuserdata(L, key());
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);

    lua_pushcfunction(L, &machine::step);
    m->step_ = luaL_ref(L, LUA_REGISTRYINDEX);
    static_cast<void>(luaL_loadstring(L, "return"));
    m->nothing_ = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "kv");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    m->inner_ = luaL_ref(L, LUA_REGISTRYINDEX);
    return *m;
}

/// The Lua state is being closed: no Lua code of ours runs any more, and the kernel lets go of our memory.
inline int machine::close(state* L) {
    auto& m = *static_cast<machine*>(lua_touserdata(L, 1));
    if (m.closed_) return 0;
    m.closed_ = true;
    m.tasks_.for_each([](task& t) { t.request_stop(); });
    if (m.own_) m.own_->loop.close();
    m.drop_tasks();
    m.unlink();
    m.loop_ = nullptr;
    delete std::exchange(m.own_, nullptr);
    m.on_error_.reset();
    m.noted_error_.reset();
    m.life_->main = nullptr;
    // The memory stays until Lua frees it, and nothing in it may need a destructor then.
    m.life_ = {};
    m.stand_in_ = {};
    std::string{}.swap(m.message_);
    std::string{}.swap(m.noted_traceback_);
    return 0;
}

inline reactor* machine::loop() noexcept {
    if (loop_) {
        if (loop_ == reactor::current()) return loop_;
        message_ = "this Lua state belongs to the reactor of another thread";
        return nullptr;
    }
    message_ = "the Lua state is being closed";
    if (closed_) return nullptr;
    loop_ = reactor::current();
    if (!loop_) {
        try {
            own_ = new own_loop;
            loop_ = &own_->loop;
        } catch (const std::exception& e) {
            message_ = e.what();
            return nullptr;
        }
    }
    loop_->attach(*this);
    return loop_;
}

/// Everything that has not ended is over, without its Lua code being told. What the kernel still works on keeps its memory.
inline void machine::drop_tasks() noexcept {
    tasks_.for_each([this](task& t) {
        ref<task> alive{&t};
        if (t.waits_) t.machine_ = nullptr;
        end(t, task::status::cancelled);
    });
}

}  // namespace hawser::lua::detail
