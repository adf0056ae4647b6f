// Measures what one machine allows, for benchmarks/machine/peaks.py: the rate of multiply-add instructions from
// registers, and the bandwidth of reading memory.
//
//     peak THREADS            writes one line "NAME VALUE" for each measurement, operations or bytes per second
//     peak THREADS probe      writes how fast float32 is now, on one thread and on all: the best and the mean repeat
//
// A multiply and an add are two operations. Each instruction has enough independent accumulators to hide its latency.
// Instruction sets are chosen at run time; the file is compiled without -march.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

namespace {

// Other work on the machine interrupts long repeats on several threads, so there are many short ones.
constexpr int kRepeats = 400;
constexpr int kSteps = 100000;           // of a repeat: a fraction of a millisecond
constexpr int kProbes = 300;             // repeats of the probe, which together are a tenth of a second
constexpr int kReads = 30;               // repeats of reading memory
constexpr std::size_t kBytes = 1 << 28;  // read by each repeat, by all threads together: more than the caches

// Keeps the calling thread on one core, so that two threads never wait for the same one. Only Linux can.
void pin(int thread) {
#if defined(__linux__)
  cpu_set_t allowed, one;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  const int wanted = thread % CPU_COUNT(&allowed);
  for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || seen++ != wanted) continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
#else
  (void)thread;
#endif
}

// Spins until the condition holds. Yielding at once would give the core away before the others have arrived.
template <class Condition>
void wait_until(Condition holds) {
  for (long spins = 1; !holds(); ++spins) {
    if (spins % 1000000 == 0) std::this_thread::yield();
  }
}

struct Seconds {
  double best, mean;
};

// Runs `work` on all threads at once and returns the least and the mean time of some repeats, in seconds. The threads
// exist before the clock starts and spin until it does, so that starting them is not measured.
Seconds time_repeats(int threads, int repeats, const std::function<void(int)>& work) {
  std::atomic<int> generation{0}, ready{0}, done{0};
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread) {
    others.emplace_back([&, thread] {
      pin(thread);
      for (int repeat = 1; repeat <= repeats; ++repeat) {
        ++ready;
        wait_until([&] { return generation.load(std::memory_order_acquire) >= repeat; });
        work(thread);
        ++done;
      }
    });
  }
  // Thread 0 is the calling one. A pinned thread would pass its core on to those that it starts.
  wait_until([&] { return ready.load() >= threads - 1; });
#if defined(__linux__)
  cpu_set_t before;
  const bool known = sched_getaffinity(0, sizeof before, &before) == 0;
#endif
  pin(0);
  double best = 1e30, sum = 0;
  for (int repeat = 1; repeat <= repeats; ++repeat) {
    wait_until([&] { return ready.load() >= repeat * (threads - 1); });
    const auto start = std::chrono::steady_clock::now();
    generation.store(repeat, std::memory_order_release);
    work(0);
    wait_until([&] { return done.load() >= repeat * (threads - 1); });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::min(best, seconds);
    sum += seconds;
  }
  for (auto& other : others) other.join();
#if defined(__linux__)
  if (known) sched_setaffinity(0, sizeof before, &before);
#endif
  return {best, sum / repeats};
}

// Prints how fast the cores are now. `work` makes kSteps steps of `operations` operations each.
void probe(int threads, double operations, const std::function<void(int)>& work) {
  for (const int count : {1, threads}) {
    const Seconds seconds = time_repeats(count, kProbes, work);
    const double done = operations * kSteps * count;
    const char* name = count == 1 ? "one" : "all";
    std::printf("%s_best %.6g\n%s_mean %.6g\n", name, done / seconds.best, name, done / seconds.mean);
    if (threads == 1) std::printf("all_best %.6g\nall_mean %.6g\n", done / seconds.best, done / seconds.mean);
    if (threads == 1) return;
  }
}

// Prints the rate of `work`, which makes kSteps steps of `operations` operations each.
void report(const char* name, int threads, double operations, const std::function<void(int)>& work) {
  const double seconds = time_repeats(threads, kRepeats, work).best;
  std::printf("%s %.6g\n", name, operations * kSteps * threads / seconds);
}

#if defined(__x86_64__)

// Twelve independent accumulators hide the latency of four or five cycles at up to two instructions per cycle. The
// instruction is in an assembler statement, so that the compiler neither merges nor drops any.
#define ASSAY_LOOP(NAME, TARGET, TYPE, INSTRUCTION)                                \
  __attribute__((target(TARGET))) void NAME(int) {                                 \
    TYPE sums[12] = {};                                                            \
    TYPE left = {}, right = {};                                                    \
    for (int step = 0; step < kSteps; ++step) {                                    \
      _Pragma("GCC unroll 12") for (int i = 0; i < 12; ++i) {                      \
        asm volatile(INSTRUCTION : "+v"(sums[i]) : "v"(left), "v"(right));         \
      }                                                                            \
    }                                                                              \
  }

ASSAY_LOOP(int8_avx512_vnni, "avx512f,avx512vnni", __m512i, "vpdpbusd %2, %1, %0")
ASSAY_LOOP(bf16_avx512, "avx512f,avx512bf16", __m512i, "vdpbf16ps %2, %1, %0")
ASSAY_LOOP(fp32_avx512, "avx512f", __m512, "vfmadd231ps %2, %1, %0")
ASSAY_LOOP(int8_avx_vnni, "avx2,avxvnni", __m256i, "%{vex%} vpdpbusd %2, %1, %0")
ASSAY_LOOP(int16_avx2, "avx2", __m256i, "vpmaddwd %2, %1, %0")
ASSAY_LOOP(fp32_avx2, "avx2,fma", __m256, "vfmadd231ps %2, %1, %0")

// AMX works on eight tiles of 16 rows by 64 bytes: four sums, two left and two right tiles, as in a real kernel.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {};
  std::uint8_t rows[16] = {};
};

__attribute__((target("amx-tile"))) void configure_tiles() {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    config.bytes[tile] = 64;
    config.rows[tile] = 16;
  }
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
}

__attribute__((target("amx-tile,amx-int8"))) void int8_amx(int) {
  configure_tiles();
  for (int step = 0; step < kSteps / 4; ++step) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
}

__attribute__((target("amx-tile,amx-bf16"))) void bf16_amx(int) {
  configure_tiles();
  for (int step = 0; step < kSteps / 4; ++step) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}

struct Features {
  bool avx2 = false, avx512 = false, vnni = false, bf16 = false, avx_vnni = false, amx_int8 = false, amx_bf16 = false;
};

Features find_features() {
  Features found;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27))) return found;  // no XGETBV: no vector state
  unsigned state = 0, high = 0;
  asm volatile("xgetbv" : "=a"(state), "=d"(high) : "c"(0));
  const bool fma = c & (1u << 12), ymm = (state & 0x6) == 0x6, zmm = (state & 0xe6) == 0xe6;
  bool tiles = (state & 0x60000) == 0x60000;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
  found.avx2 = ymm && fma && (b & (1u << 5));
  found.avx512 = zmm && (b & (1u << 16)) && (b & (1u << 30));
  found.vnni = found.avx512 && (c & (1u << 11));
#if defined(__linux__)
  tiles = tiles && syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* tile data */) == 0;
#else
  tiles = false;
#endif
  found.amx_int8 = tiles && (d & (1u << 25));
  found.amx_bf16 = tiles && (d & (1u << 22));
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) {
    found.bf16 = found.avx512 && (a & (1u << 5));
    found.avx_vnni = found.avx2 && (a & (1u << 4));
  }
  return found;
}

void measure_instructions(int threads) {
  const Features found = find_features();
  if (found.vnni) report("int8_avx512_vnni", threads, 12 * 128, int8_avx512_vnni);
  if (found.avx_vnni) report("int8_avx_vnni", threads, 12 * 64, int8_avx_vnni);
  if (found.avx2) report("int16_avx2", threads, 12 * 32, int16_avx2);
  // The loops of AMX make a quarter of kSteps steps, of four tile products each.
  if (found.amx_int8) report("int8_amx", threads, 4 * 16 * 16 * 64 * 2 / 4, int8_amx);
  if (found.amx_bf16) report("bf16_amx", threads, 4 * 16 * 16 * 32 * 2 / 4, bf16_amx);
  if (found.bf16) report("bf16_avx512", threads, 12 * 64, bf16_avx512);
  if (found.avx512) report("fp32_avx512", threads, 12 * 32, fp32_avx512);
  if (found.avx2) report("fp32_avx2", threads, 12 * 16, fp32_avx2);
}

void probe_cores(int threads) {
  if (find_features().avx2) probe(threads, 12 * 16, fp32_avx2);
}

#elif defined(__aarch64__)

#define ASSAY_LOOP(NAME, TYPE, INSTRUCTION)                                        \
  void NAME(int) {                                                                 \
    TYPE sums[16] = {};                                                            \
    TYPE left = {}, right = {};                                                    \
    for (int step = 0; step < kSteps; ++step) {                                    \
      _Pragma("GCC unroll 16") for (int i = 0; i < 16; ++i) {                      \
        asm volatile(".arch armv8.6-a+dotprod+i8mm+bf16\n\t" INSTRUCTION           \
                     : "+w"(sums[i]) : "w"(left), "w"(right));                     \
      }                                                                            \
    }                                                                              \
  }

ASSAY_LOOP(int8_dotprod, int32x4_t, "sdot %0.4s, %1.16b, %2.16b")
ASSAY_LOOP(int8_i8mm, int32x4_t, "smmla %0.4s, %1.16b, %2.16b")
ASSAY_LOOP(bf16_mmla, float32x4_t, "bfmmla %0.4s, %1.8h, %2.8h")
ASSAY_LOOP(fp32_neon, float32x4_t, "fmla %0.4s, %1.4s, %2.4s")

void measure_instructions(int threads) {
#if defined(__linux__)
  const bool dotprod = getauxval(AT_HWCAP) & (1ul << 20), i8mm = getauxval(AT_HWCAP2) & (1ul << 13);
  const bool bf16 = getauxval(AT_HWCAP2) & (1ul << 14);
#else
  const bool dotprod = true, i8mm = false, bf16 = false;  // every Apple processor has dotprod
#endif
  if (dotprod) report("int8_dotprod", threads, 16 * 32, int8_dotprod);
  if (i8mm) report("int8_i8mm", threads, 16 * 64, int8_i8mm);
  if (bf16) report("bf16_mmla", threads, 16 * 32, bf16_mmla);
  report("fp32_neon", threads, 16 * 8, fp32_neon);
}

void probe_cores(int threads) { probe(threads, 16 * 8, fp32_neon); }

#else

void measure_instructions(int) {}

void probe_cores(int) {}

#endif

// Eight independent sums keep enough loads in flight; the compiler makes vectors of them.
void measure_bandwidth(int threads) {
  const std::size_t words = kBytes / sizeof(std::uint64_t), share = words / threads;
  std::vector<std::uint64_t> memory(words, 1);
  std::vector<std::uint64_t> sinks(threads * 16);
  const auto add = [&](int thread) {
    const std::uint64_t* at = memory.data() + thread * share;
    std::uint64_t sums[8] = {};
    for (std::size_t i = 0; i + 8 <= share; i += 8) {
      for (int lane = 0; lane < 8; ++lane) sums[lane] += at[i + lane];
    }
    for (const std::uint64_t sum : sums) sinks[thread * 16] += sum;
  };
  const double seconds = time_repeats(threads, kReads, add).best;
  std::uint64_t total = 0;
  for (const std::uint64_t sink : sinks) total += sink;
  if (total == 0) std::abort();  // keeps the sums alive
  std::printf("read_bytes %.6g\n", static_cast<double>(share) * threads * sizeof(std::uint64_t) / seconds);
}

}  // namespace

int main(int count, char** words) {
  const int threads = count == 2 || count == 3 ? std::atoi(words[1]) : 0;
  if (threads < 1 || (count == 3 && std::strcmp(words[2], "probe") != 0)) {
    std::fprintf(stderr, "usage: peak THREADS [probe]\n");
    return 2;
  }
  if (count == 3) {
    probe_cores(threads);
    return 0;
  }
  measure_instructions(threads);
  measure_bandwidth(threads);
  return 0;
}
