// Loaded by LD_PRELOAD: counts allocations, those of the program itself apart from those of the libraries that it uses.
// The counts are in the file that HAWSER_COUNT_ALLOCATIONS names, four numbers of 64 bits: calls and bytes of each.
//
// Whose an allocation is follows from the return address. What libstdc++ allocates it does for the program.

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <link.h>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

// glibc's own names of what is replaced here.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
}

namespace {

struct counted {
    std::atomic<std::uint64_t> calls;
    std::atomic<std::uint64_t> bytes;
};

struct counts {
    counted program;
    counted libraries;
};

struct range {
    std::uintptr_t begin;
    std::uintptr_t end;
};

std::atomic<counts*> shared{nullptr};
range ours[8];
std::size_t ours_size = 0;

int note_code(dl_phdr_info* object, std::size_t, void* first)
{
    // The first object is the program; it has no name.
    bool const program = *static_cast<bool*>(first);
    *static_cast<bool*>(first) = false;
    if (!program && std::strstr(object->dlpi_name, "libstdc++.so") == nullptr)
        return 0;
    for (int n = 0; n < object->dlpi_phnum; ++n) {
        auto const& header = object->dlpi_phdr[n];
        if (header.p_type == PT_LOAD && (header.p_flags & PF_X) != 0 && ours_size < sizeof ours / sizeof *ours) {
            auto const begin = static_cast<std::uintptr_t>(object->dlpi_addr + header.p_vaddr);
            ours[ours_size++] = {begin, begin + static_cast<std::uintptr_t>(header.p_memsz)};
        }
    }
    return 0;
}

[[noreturn]] void refuse(char const* what, char const* file)
{
    std::fprintf(stderr, "count_allocations: cannot %s %s: %s\n", what, file, std::strerror(errno));
    std::_Exit(1);
}

[[gnu::constructor]] void begin()
{
    char const* file = std::getenv("HAWSER_COUNT_ALLOCATIONS");
    if (file == nullptr)
        return;
    int const descriptor = ::open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0)
        refuse("open", file);
    if (::ftruncate(descriptor, sizeof(counts)) != 0)
        refuse("size", file);
    void* const memory = ::mmap(nullptr, sizeof(counts), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED)
        refuse("map", file);
    ::close(descriptor);
    bool first = true;
    ::dl_iterate_phdr(note_code, &first);
    shared.store(static_cast<counts*>(memory), std::memory_order_release);
}

void count(void const* caller, std::size_t bytes)
{
    counts* const all = shared.load(std::memory_order_acquire);
    if (all == nullptr)
        return;
    auto const address = reinterpret_cast<std::uintptr_t>(caller);
    bool program = false;
    for (std::size_t n = 0; n < ours_size; ++n)
        program = program || (address >= ours[n].begin && address < ours[n].end);
    counted& whose = program ? all->program : all->libraries;
    whose.calls.fetch_add(1, std::memory_order_relaxed);
    whose.bytes.fetch_add(bytes, std::memory_order_relaxed);
}

void* allocate(void const* caller, std::size_t size, std::size_t alignment = 0)
{
    count(caller, size);
    return alignment == 0 ? __libc_malloc(size != 0 ? size : 1) : __libc_memalign(alignment, size != 0 ? size : 1);
}

void* allocate_or_throw(void const* caller, std::size_t size, std::size_t alignment = 0)
{
    if (void* const memory = allocate(caller, size, alignment))
        return memory;
    throw std::bad_alloc();
}

} // namespace

// The replacements must be functions of their own, each called by whoever allocates.
#define CALLER __builtin_return_address(0)

extern "C" {

void* malloc(std::size_t size)
{
    count(CALLER, size);
    return __libc_malloc(size);
}

void* calloc(std::size_t number, std::size_t size)
{
    count(CALLER, number * size);
    return __libc_calloc(number, size);
}

void* realloc(void* old, std::size_t size)
{
    if (size != 0)
        count(CALLER, size);
    return __libc_realloc(old, size);
}

int posix_memalign(void** result, std::size_t alignment, std::size_t size)
{
    if (alignment % sizeof(void*) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
        return EINVAL;
    count(CALLER, size);
    int const before = errno;
    void* const memory = __libc_memalign(alignment, size);
    errno = before;
    if (memory == nullptr)
        return ENOMEM;
    *result = memory;
    return 0;
}

void* aligned_alloc(std::size_t alignment, std::size_t size)
{
    count(CALLER, size);
    return __libc_memalign(alignment, size);
}

void* memalign(std::size_t alignment, std::size_t size)
{
    count(CALLER, size);
    return __libc_memalign(alignment, size);
}

} // extern "C"

// libstdc++'s operator delete calls free, which fits.
void* operator new(std::size_t size) { return allocate_or_throw(CALLER, size); }
void* operator new[](std::size_t size) { return allocate_or_throw(CALLER, size); }
void* operator new(std::size_t size, std::nothrow_t const&) noexcept { return allocate(CALLER, size); }
void* operator new[](std::size_t size, std::nothrow_t const&) noexcept { return allocate(CALLER, size); }
void* operator new(std::size_t size, std::align_val_t alignment) { return allocate_or_throw(CALLER, size, static_cast<std::size_t>(alignment)); }
void* operator new[](std::size_t size, std::align_val_t alignment) { return allocate_or_throw(CALLER, size, static_cast<std::size_t>(alignment)); }
void* operator new(std::size_t size, std::align_val_t alignment, std::nothrow_t const&) noexcept
{
    return allocate(CALLER, size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment, std::nothrow_t const&) noexcept
{
    return allocate(CALLER, size, static_cast<std::size_t>(alignment));
}
