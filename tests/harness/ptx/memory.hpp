// What a kernel may touch, and a check of everything that it does touch: bounds, alignment, arrays that are only read,
// shared memory that nobody wrote, and races, as compute-sanitizer looks for them on a device.
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

enum Space : uint8_t { GLOBAL, SHARED, CONSTANT, PARAMETER, GENERIC };
// Where shared memory begins among generic addresses; the others are those of global memory.
constexpr uint64_t SHARED_WINDOW = (uint64_t)1 << 60;

enum FaultKind : int32_t {
    OUT_OF_BOUNDS,
    MISALIGNED,
    READ_ONLY,
    NEVER_WRITTEN,
    RACE,
    DIVERGENT_BARRIER,
    NAN_TO_INTEGER,
    DIVISION_BY_ZERO,
    ENDLESS,
};

struct Fault {
    int32_t kind, pc, block, thread;
    int32_t other_pc, other_block, other_thread;  // of the earlier access of a race; -1 where there is none
    int32_t bytes;
    uint64_t address;
};

// An array in global memory.
struct Allocation {
    uint64_t base, size;
    uint32_t writable, grain;  // grain: bytes of an element, for which accesses are remembered
};

// An access to memory, wherever it comes from.
struct Access {
    int32_t pc;
    uint32_t thread;
    uint64_t address;
    uint32_t bytes;
    bool reads, writes, atomic;
};

// Who read an element, or wrote to it. That is remembered for all of a launch, since blocks may run in any order.
struct Touch {
    uint32_t block, epoch;  // of the last access; an epoch lies between two barriers
    uint32_t pc : 24, exists : 1;
    uint32_t several_threads : 1, plain : 1;      // in this epoch: there were others, not all were atomic
    uint32_t several_blocks : 1, ever_plain : 1;  // in this launch
    uint16_t thread, thread_before;
};
static_assert(sizeof(Touch) == 16, "an element of one byte costs 32 bytes already");

struct Touches {
    Touch read, written;
};

// What is remembered of one array. Pages of it come into being when they are touched.
class Shadow {
  public:
    explicit Shadow(uint64_t elements) : bytes_((elements + 1) * sizeof(Touches)) {
        void* room = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        touches_ = room == MAP_FAILED ? nullptr : (Touches*)room;
    }
    Shadow(Shadow&& other) : touches_(other.touches_), bytes_(other.bytes_) { other.touches_ = nullptr; }
    ~Shadow() {
        if (touches_ != nullptr) {
            munmap(touches_, bytes_);
        }
    }
    bool exists() const { return touches_ != nullptr; }
    Touches& operator[](uint64_t element) { return touches_[element]; }

  private:
    Touches* touches_;
    size_t bytes_;
};

// Faults as they are found, one for each pair of instructions.
class Faults {
  public:
    Faults(Fault* found, uint32_t room) : found_(found), room_(room) {}

    void add(const Fault& fault) {
        for (uint32_t f = 0; f < count_; ++f) {
            const Fault& known = found_[f];
            if (known.kind == fault.kind && known.pc == fault.pc && known.other_pc == fault.other_pc) {
                return;
            }
        }
        if (count_ < room_) {
            found_[count_++] = fault;
        }
    }
    uint32_t count() const { return count_; }

  private:
    Fault* found_;
    uint32_t room_, count_ = 0;
};

class Memory {
  public:
    Memory(const uint8_t* parameters, uint32_t parameter_bytes, const uint8_t* constants, uint32_t constant_bytes,
           uint32_t shared_bytes, uint32_t shared_grain, const Allocation* allocations, uint32_t count, Faults& faults)
        : faults(faults),
          parameters_(parameters),
          constants_(constants),
          parameter_bytes_(parameter_bytes),
          constant_bytes_(constant_bytes),
          shared_bytes_(shared_bytes),
          shared_grain_(shared_grain),
          shared_(shared_bytes + 16),
          initialised_(shared_bytes / shared_grain + 1),
          shared_touches_(shared_bytes / shared_grain + 1),
          allocations_(allocations),
          allocation_count_(count) {
        for (uint32_t a = 0; a < count; ++a) {
            shadows_.emplace_back(allocations[a].size / allocations[a].grain);
        }
    }

    Faults& faults;

    // A block finds nothing of the one before it in shared memory.
    void begin_block(uint32_t block) {
        block_ = block;
        epoch_ = 1;
        std::fill(shared_.begin(), shared_.end(), (uint8_t)0xA5);
        std::fill(initialised_.begin(), initialised_.end(), (uint8_t)0);
        std::fill(shared_touches_.begin(), shared_touches_.end(), Touches{});
    }
    void pass_barrier() { ++epoch_; }

    void fault(FaultKind kind, int32_t pc, uint32_t thread) {
        faults.add({kind, pc, (int32_t)block_, (int32_t)thread, -1, -1, -1, 0, 0});
    }

    // Where the bytes of an access lie on this machine, or nullptr after a fault. `allocation` is a guess which array
    // they are of, that of the last access by this instruction, perhaps in another launch.
    uint8_t* locate(Space space, const Access& access, int32_t& allocation) {
        if (space != PARAMETER && access.address % access.bytes != 0) {
            return refuse(MISALIGNED, access);
        }
        switch (space) {
            case GLOBAL:
                return locate_global(access, allocation);
            case SHARED:
                return locate_shared(access);
            case GENERIC:
                if (access.address < SHARED_WINDOW) {
                    return locate_global(access, allocation);
                }
                return locate_shared({access.pc, access.thread, access.address - SHARED_WINDOW, access.bytes,
                                      access.reads, access.writes, access.atomic});
            case CONSTANT:
                return locate_fixed(constants_, constant_bytes_, access);
            default:
                return locate_fixed(parameters_, parameter_bytes_, access);
        }
    }

  private:
    uint8_t* locate_fixed(const uint8_t* bytes, uint32_t size, const Access& access) {
        if (access.address + access.bytes > size) {
            return refuse(OUT_OF_BOUNDS, access);
        }
        return access.writes ? refuse(READ_ONLY, access) : const_cast<uint8_t*>(bytes) + access.address;
    }

    uint8_t* locate_shared(const Access& access) {
        const uint64_t end = access.address + access.bytes;
        if (end > shared_bytes_) {
            return refuse(OUT_OF_BOUNDS, access);
        }
        for (uint64_t g = access.address / shared_grain_; g * shared_grain_ < end; ++g) {
            if (access.reads && !initialised_[g]) {
                refuse(NEVER_WRITTEN, access);
            }
            touch(shared_touches_[g], access);
            if (access.writes) {
                initialised_[g] = 1;
            }
        }
        return &shared_[access.address];
    }

    uint8_t* locate_global(const Access& access, int32_t& allocation) {
        if ((uint32_t)allocation >= allocation_count_ || !holds(allocations_[allocation], access)) {
            const Allocation* after =
                std::upper_bound(allocations_, allocations_ + allocation_count_, access.address,
                                 [](uint64_t address, const Allocation& other) { return address < other.base; });
            if (after == allocations_ || !holds(after[-1], access)) {
                return refuse(OUT_OF_BOUNDS, access);
            }
            allocation = (int32_t)(after - 1 - allocations_);
        }
        const Allocation& array = allocations_[allocation];
        if (access.writes && !array.writable) {
            return refuse(READ_ONLY, access);
        }
        Shadow& shadow = shadows_[allocation];
        if (array.writable && shadow.exists()) {  // arrays that are only read know no races
            const uint64_t first = access.address - array.base, last = first + access.bytes - 1;
            for (uint64_t element = first / array.grain; element <= last / array.grain; ++element) {
                touch(shadow[element], access);
            }
        }
        return (uint8_t*)access.address;
    }

    static bool holds(const Allocation& array, const Access& access) {
        return access.address >= array.base && access.address + access.bytes <= array.base + array.size;
    }

    void touch(Touches& touches, const Access& access) {
        if (races(touches.written, access)) {
            report_race(touches.written, access);
        }
        if (access.writes && races(touches.read, access)) {
            report_race(touches.read, access);
        }
        remember(access.writes ? touches.written : touches.read, access);
    }

    bool races(const Touch& touch, const Access& access) const {
        if (!touch.exists) {
            return false;
        }
        if (touch.several_blocks || touch.block != block_) {
            return touch.ever_plain || !access.atomic;
        }
        const bool others = touch.several_threads || touch.thread != access.thread;
        return touch.epoch == epoch_ && others && (touch.plain || !access.atomic);
    }

    void remember(Touch& touch, const Access& access) const {
        const bool same_block = touch.exists && touch.block == block_;
        const bool same_epoch = same_block && touch.epoch == epoch_;
        const bool other = same_epoch && touch.thread != access.thread;
        Touch now{};
        now.block = block_;
        now.epoch = epoch_;
        now.pc = (uint32_t)access.pc;
        now.exists = 1;
        now.several_threads = other || (same_epoch && touch.several_threads);
        now.plain = !access.atomic || (same_epoch && touch.plain);
        now.several_blocks = touch.several_blocks || (touch.exists && !same_block);
        now.ever_plain = !access.atomic || touch.ever_plain;
        now.thread = (uint16_t)access.thread;
        now.thread_before = other ? touch.thread : touch.thread_before;
        touch = now;
    }

    void report_race(const Touch& touch, const Access& access) {
        const bool here = touch.block == block_;
        const int32_t thread = here && touch.thread == access.thread ? touch.thread_before : touch.thread;
        const int32_t block = here && touch.several_blocks ? -1 : (int32_t)touch.block;  // -1: another one
        faults.add({RACE, access.pc, (int32_t)block_, (int32_t)access.thread, (int32_t)touch.pc, block, thread,
                    (int32_t)access.bytes, access.address});
    }

    uint8_t* refuse(FaultKind kind, const Access& access) {
        faults.add({kind, access.pc, (int32_t)block_, (int32_t)access.thread, -1, -1, -1, (int32_t)access.bytes,
                    access.address});
        return nullptr;
    }

    const uint8_t *parameters_, *constants_;
    const uint32_t parameter_bytes_, constant_bytes_, shared_bytes_, shared_grain_;
    std::vector<uint8_t> shared_, initialised_;
    std::vector<Touches> shared_touches_;
    const Allocation* allocations_;
    const uint32_t allocation_count_;
    std::vector<Shadow> shadows_;
    uint32_t block_ = 0, epoch_ = 1;
};
