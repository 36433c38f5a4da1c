// An interpreter of PTX for tests: it runs one kernel, instruction by instruction and thread by thread, on the host.
// See rules.hpp for what instructions do, and memory.hpp for what is checked.
//
// A thread runs until it waits at a barrier, ends, or has used up its turn; then another one runs. A kernel that counts
// on an order of threads or blocks is found out by other orders, and by the look for races, which does not need them.
#include "machine.hpp"

#include <numeric>
#include <utility>
#include <vector>

#include "rules.hpp"

enum Order : uint32_t { FORWARDS, BACKWARDS, SHUFFLED };

struct Launch {
    uint32_t blocks, threads;
    uint32_t registers;
    int32_t tid, ntid, ctaid, nctaid;  // registers that hold these, or -1
    uint32_t shared_bytes, shared_grain, parameter_bytes, constant_bytes;
    uint32_t order;         // of threads and blocks
    uint32_t turn;          // instructions of a thread's turn: between 1 and so many, or 0 for no limit
    uint32_t seed;          // of shuffles and turns
    int32_t approximation;  // see Approximation
    uint64_t longest;       // instructions, after which a launch is taken for endless
};

namespace {

class Random {  // xorshift64
  public:
    explicit Random(uint32_t seed) : state_(0x9E3779B97F4A7C15u * (seed + 1ull)) {}
    uint32_t below(uint32_t limit) {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return (uint32_t)(state_ >> 16) % limit;
    }
    void shuffle(std::vector<uint32_t>& values) {
        for (uint32_t n = (uint32_t)values.size(); n > 1; --n) {
            std::swap(values[n - 1], values[below(n)]);
        }
    }

  private:
    uint64_t state_;
};

class Machine {
  public:
    Machine(const Launch& launch, Instruction* code, const Word* initial, Memory& memory, uint64_t* executed,
            uint64_t* longest_way)
        : launch_(launch),
          code_(code),
          initial_(initial),
          memory_(memory),
          executed_(executed),
          longest_way_(longest_way),
          random_(launch.seed),
          registers_((size_t)launch.registers * launch.threads) {}

    void run() {
        for (const uint32_t block : in_order(launch_.blocks)) {
            if (!run_block(block)) {
                return;
            }
        }
    }

  private:
    std::vector<uint32_t> in_order(uint32_t count) {
        std::vector<uint32_t> order(count);
        std::iota(order.begin(), order.end(), 0u);
        if (launch_.order == BACKWARDS) {
            std::reverse(order.begin(), order.end());
        } else if (launch_.order == SHUFFLED) {
            random_.shuffle(order);
        }
        return order;
    }

    // Whether the block ended without a fault that nothing can follow.
    bool run_block(uint32_t block) {
        memory_.begin_block(block);
        std::vector<Thread> threads;
        for (uint32_t t = 0; t < launch_.threads; ++t) {
            threads.push_back(first_state(block, t));
        }
        std::vector<uint32_t> order = in_order(launch_.threads);
        for (;;) {
            for (bool running = true; running;) {
                running = false;
                if (launch_.order == SHUFFLED) {
                    random_.shuffle(order);
                }
                for (const uint32_t t : order) {
                    if (threads[t].state == RUNNING) {
                        run_turn(threads[t]);
                        running |= threads[t].state == RUNNING;
                    }
                    if (threads[t].state == FAILED) {
                        return false;
                    }
                }
            }
            add_longest_way(threads);
            if (std::all_of(threads.begin(), threads.end(), [](const Thread& t) { return t.state == ENDED; })) {
                return true;
            }
            if (!pass_barrier(threads)) {
                return false;
            }
        }
    }

    Thread first_state(uint32_t block, uint32_t index) {
        Word* r = &registers_[(size_t)index * launch_.registers];
        std::copy(initial_, initial_ + launch_.registers, r);
        const std::pair<int32_t, uint32_t> special[] = {{launch_.tid, index},
                                                        {launch_.ntid, launch_.threads},
                                                        {launch_.ctaid, block},
                                                        {launch_.nctaid, launch_.blocks}};
        for (const auto& [place, value] : special) {
            if (place >= 0) {
                r[place].u64 = value;
            }
        }
        return {r, &memory_, (Approximation)launch_.approximation, index, 0, RUNNING};
    }

    void run_turn(Thread& thread) {
        uint64_t left = launch_.turn == 0 ? ~(uint64_t)0 : 1 + random_.below(launch_.turn);
        left = std::min(left, launch_.longest - total_);
        const uint64_t before = left;
        int32_t pc = thread.pc;  // in a register: the next instruction need not wait for what this one writes
        for (; left != 0 && thread.state == RUNNING; --left, ++pc) {
            Instruction& i = code_[pc];
            ++executed_[pc];
            if (i.predicate < 0 || (thread.registers[i.predicate].p & 1) == i.wanted) {
                thread.pc = pc;
                RULES[i.rule].run(thread, i);
                if (i.rule == BRANCH) {
                    pc = thread.pc;
                }
            }
        }
        thread.pc = pc;
        total_ += before - left;
        thread.ran += before - left;
        if (total_ == launch_.longest && thread.state == RUNNING) {
            thread.fail(ENDLESS);
        }
    }

    // Between two barriers a block takes as long as the thread with the most instructions.
    void add_longest_way(std::vector<Thread>& threads) {
        const auto fewer = [](const Thread& one, const Thread& other) { return one.ran < other.ran; };
        *longest_way_ += std::max_element(threads.begin(), threads.end(), fewer)->ran;
        for (Thread& thread : threads) {
            thread.ran = 0;
        }
    }

    // All threads that have not ended wait. They must be all threads of the block, at the same barrier.
    bool pass_barrier(std::vector<Thread>& threads) {
        const auto waits = [](const Thread& thread) { return thread.state == WAITING; };
        const Thread& first = *std::find_if(threads.begin(), threads.end(), waits);
        for (const Thread& thread : threads) {
            if (!waits(thread) || thread.pc != first.pc) {
                const Thread& there = waits(thread) ? thread : first;
                memory_.fault(DIVERGENT_BARRIER, there.pc - 1, there.index);
                return false;
            }
        }
        for (Thread& thread : threads) {
            thread.state = RUNNING;
        }
        memory_.pass_barrier();
        return true;
    }

    const Launch& launch_;
    Instruction* code_;
    const Word* initial_;
    Memory& memory_;
    uint64_t *executed_, *longest_way_;
    Random random_;
    std::vector<Word> registers_;
    uint64_t total_ = 0;
};

}  // namespace

// Names of all rules, in order; NULL beyond the last.
extern "C" const char* ptx_rule(uint32_t number) { return number < RULE_COUNT ? RULES[number].name : nullptr; }

// Bytes of the structures that are handed over, for a check of the Python side's.
extern "C" uint32_t ptx_size(uint32_t which) {
    const uint32_t sizes[] = {sizeof(Instruction), sizeof(Launch), sizeof(Fault), sizeof(Allocation)};
    return sizes[which];
}

// Runs a kernel and returns the number of faults found, of which there is room for `room`.
// initial: registers of a thread as it begins; allocations: by their addresses, none overlaps another; executed: how
// often each instruction was, which is added to, as is `longest_way`: the instructions of all blocks one after the
// other, the thread with the most counting between two barriers.
extern "C" uint32_t ptx_launch(const Launch* launch, Instruction* code, const Word* initial, const uint8_t* parameters,
                               const uint8_t* constants, const Allocation* allocations, uint32_t allocation_count,
                               Fault* found, uint32_t room, uint64_t* executed, uint64_t* longest_way) {
    Faults faults(found, room);
    Memory memory(parameters, launch->parameter_bytes, constants, launch->constant_bytes, launch->shared_bytes,
                  launch->shared_grain, allocations, allocation_count, faults);
    Machine(*launch, code, initial, memory, executed, longest_way).run();
    return faults.count();
}
