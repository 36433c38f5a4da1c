// An instruction as decoding.py hands it over, a thread, and what both are run by.
#pragma once
#include <cstdint>
#include <cstring>

#include "memory.hpp"

// A register of any type; a predicate is its lowest bit.
union Word {
    uint64_t u64;
    int64_t s64;
    uint32_t u32;
    int32_t s32;
    uint16_t u16;
    int16_t s16;
    double f64;
    float f32;
    uint8_t p;
};

enum Atomic : uint8_t { ADD, MIN, MAX, EXCHANGE, COMPARE_AND_SWAP, AND, OR };

// Every register, immediate and address has a place among the registers of a thread, so that operands are places.
struct Instruction {
    uint16_t rule;                           // which of `RULES`
    uint8_t space, bytes, count, is_signed;  // of an access: `count` numbers of so many bytes
    uint8_t atomic, wanted;                  // `wanted`: the value of the predicate that lets it happen
    int32_t predicate;                       // -1 where there is none
    int32_t results[4], a, b, c, e;          // a vector store keeps what it stores among the results
    int64_t offset;                          // of an address; what a branch jumps to
    int32_t allocation;                      // that the last access met, see Memory::locate
};

enum State : uint8_t { RUNNING, WAITING, ENDED, FAILED };

// Results of instructions that are only approximate, within what the manual promises.
enum Approximation : int32_t { LOWEST = -1, NEAREST = 0, HIGHEST = 1, ANY = 2 };

struct Thread {
    Word* registers;
    Memory* memory;
    Approximation approximation;
    uint32_t index;
    int32_t pc;
    State state;
    uint64_t ran = 0;  // instructions since the last barrier

    void fault(FaultKind kind) { memory->fault(kind, pc, index); }
    void fail(FaultKind kind) {
        fault(kind);
        state = FAILED;
    }

    void load(Instruction& i) {
        const uint8_t* from = locate(i, true, false, false);
        for (uint32_t n = 0; from != nullptr && n < i.count; ++n, from += i.bytes) {
            uint64_t raw = 0;
            std::memcpy(&raw, from, i.bytes);
            const int unused = 64 - 8 * i.bytes;
            registers[i.results[n]].u64 = i.is_signed ? (uint64_t)((int64_t)(raw << unused) >> unused) : raw;
        }
    }

    void store(Instruction& i) {
        uint8_t* to = locate(i, false, true, false);
        for (uint32_t n = 0; to != nullptr && n < i.count; ++n, to += i.bytes) {
            std::memcpy(to, &registers[i.results[n]].u64, i.bytes);
        }
    }

    void update(Instruction& i) {
        uint8_t* at = locate(i, true, true, true);
        if (at == nullptr) {
            return;
        }
        const uint64_t before = i.bytes == 4 ? read<uint32_t>(at) : read<uint64_t>(at);
        const uint64_t after =
            i.bytes == 4 ? updated<uint32_t, int32_t>(i, (uint32_t)before) : updated<uint64_t, int64_t>(i, before);
        std::memcpy(at, &after, i.bytes);
        if (i.results[0] >= 0) {
            registers[i.results[0]].u64 = before;
        }
    }

  private:
    uint8_t* locate(Instruction& i, bool reads, bool writes, bool atomic) {
        const uint64_t base = i.a < 0 ? 0 : i.space == SHARED ? registers[i.a].u32 : registers[i.a].u64;
        const uint64_t sum = base + (uint64_t)i.offset, address = i.space == SHARED ? (uint32_t)sum : sum;
        const Access access{pc, index, address, (uint32_t)i.bytes * i.count, reads, writes, atomic};
        uint8_t* found = memory->locate((Space)i.space, access, i.allocation);
        if (found == nullptr) {
            state = FAILED;
        }
        return found;
    }

    template <class T> static T read(const uint8_t* from) {
        T value;
        std::memcpy(&value, from, sizeof value);
        return value;
    }

    template <class Unsigned, class Signed> Unsigned updated(const Instruction& i, Unsigned before) const {
        const Unsigned by = (Unsigned)registers[i.b].u64;
        switch (i.atomic) {
            case ADD:
                return before + by;
            case MIN:
                return i.is_signed ? (Unsigned)std::min((Signed)before, (Signed)by) : std::min(before, by);
            case MAX:
                return i.is_signed ? (Unsigned)std::max((Signed)before, (Signed)by) : std::max(before, by);
            case EXCHANGE:
                return by;
            case COMPARE_AND_SWAP:
                return before == by ? (Unsigned)registers[i.c].u64 : before;
            case AND:
                return before & by;
            default:
                return before | by;
        }
    }
};
