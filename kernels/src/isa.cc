#include "isa.h"

#include <cstdint>
#include <cstdlib>

#include "attention/attention.h"
#include "error.h"
#include "linear/linear_kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace assay {
namespace {

#if defined(__x86_64__)

struct Registers {
  uint32_t eax, ebx, ecx, edx;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r{};
  __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
  return r;
}

bool bit(uint32_t word, int index) { return (word >> index & 1) != 0; }

// XCR0: the register states that the operating system saves and restores.
uint64_t enabled_states() {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

// Linux grants tile registers on request, once per process and before the first use on any thread.
bool request_tiles() {
#if defined(__linux__)
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

struct Found {
  bool avx2, avx_vnni, avx512_vnni, amx;
};

Found find() {
  Found found{};
  constexpr int kFma = 12, kOsxsave = 27, kAvx = 28, kF16c = 29;
  const uint32_t features = cpuid(1, 0).ecx;
  if (cpuid(0, 0).eax < 7 || !bit(features, kOsxsave) || !bit(features, kAvx) || !bit(features, kFma) ||
      !bit(features, kF16c)) {
    return found;
  }
  constexpr int kAvx2 = 5, kAvx512F = 16, kAvx512Dq = 17, kAvx512Bw = 30, kAvx512Vl = 31;  // ebx
  constexpr int kAvx512Vnni = 11;                                                          // ecx
  constexpr int kAmxTile = 24, kAmxInt8 = 25;                                              // edx
  constexpr int kAvxVnni = 4;                                                              // eax of subleaf 1
  constexpr uint64_t kYmm = 0x6, kZmm = 0xe6, kTiles = 0x60000;
  const Registers more = cpuid(7, 0);
  const uint64_t states = enabled_states();
  found.avx2 = (states & kYmm) == kYmm && bit(more.ebx, kAvx2);
  found.avx_vnni = found.avx2 && more.eax >= 1 && bit(cpuid(7, 1).eax, kAvxVnni);
  found.avx512_vnni = found.avx2 && (states & kZmm) == kZmm && bit(more.ebx, kAvx512F) && bit(more.ebx, kAvx512Dq) &&
                      bit(more.ebx, kAvx512Bw) && bit(more.ebx, kAvx512Vl) && bit(more.ecx, kAvx512Vnni);
  found.amx = found.avx512_vnni && (states & kTiles) == kTiles && bit(more.edx, kAmxTile) && bit(more.edx, kAmxInt8) &&
              request_tiles();
#if defined(ASSAY_KERNELS_EMULATE)
  found.avx_vnni = found.amx = found.avx512_vnni;
#endif
  return found;
}

std::vector<Kernels> detect() {
  std::vector<Kernels> kernels;
  [[maybe_unused]] const Found found = find();
#if defined(ASSAY_HAVE_AMX)
  if (found.amx) kernels.push_back({"amx", &linear_amx(), &attention_amx()});
#endif
#if defined(ASSAY_HAVE_AVX512VNNI)
  if (found.avx512_vnni) kernels.push_back({"avx512vnni", &linear_avx512vnni(), &attention_avx512vnni()});
#endif
#if defined(ASSAY_HAVE_AVXVNNI)
  if (found.avx_vnni) kernels.push_back({"avxvnni", &linear_avxvnni(), &attention_avxvnni()});
#endif
#if defined(ASSAY_HAVE_AVX2)
  if (found.avx2) kernels.push_back({"avx2", &linear_avx2(), &attention_avx2()});
#endif
  kernels.push_back({"plain", &linear_plain(), &attention_plain()});
  return kernels;
}

#elif defined(__aarch64__)

#if defined(__APPLE__)
bool apple_has(const char* feature) {
  int value = 0;
  size_t size = sizeof(value);
  return sysctlbyname(feature, &value, &size, nullptr, 0) == 0 && value != 0;
}
#endif

std::vector<Kernels> detect() {
  bool dot_product = false, int8_matrix = false;
#if defined(__linux__)
  constexpr unsigned long kDotProduct = 1ul << 20;  // HWCAP_ASIMDDP
  constexpr unsigned long kInt8Matrix = 1ul << 13;  // HWCAP2_I8MM
  dot_product = (getauxval(AT_HWCAP) & kDotProduct) != 0;
  int8_matrix = (getauxval(AT_HWCAP2) & kInt8Matrix) != 0;
#elif defined(__APPLE__)
  dot_product = apple_has("hw.optional.arm.FEAT_DotProd");
  int8_matrix = apple_has("hw.optional.arm.FEAT_I8MM");
#endif
  std::vector<Kernels> kernels;
#if defined(ASSAY_HAVE_NEON_I8MM)
  if (dot_product && int8_matrix) kernels.push_back({"neon_i8mm", &linear_neon_i8mm(), &attention_neon_i8mm()});
#endif
#if defined(ASSAY_HAVE_NEON_DOTPROD)
  if (dot_product) kernels.push_back({"neon_dotprod", &linear_neon_dotprod(), &attention_neon_dotprod()});
#endif
  kernels.push_back({"plain", &linear_plain(), &attention_plain()});
  return kernels;
}

#else

std::vector<Kernels> detect() { return {{"plain", &linear_plain(), &attention_plain()}}; }

#endif

const std::vector<Kernels>& available() {
  static const std::vector<Kernels> kernels = detect();
  return kernels;
}

}  // namespace

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Kernels& kernels : available()) names.emplace_back(kernels.name);
  return names;
}

const Kernels& select_kernels() {
  const char* wanted = std::getenv("ASSAY_KERNELS_ISA");
  if (wanted == nullptr || *wanted == '\0') return available().front();
  std::string names;
  for (const Kernels& kernels : available()) {
    if (std::string(kernels.name) == wanted) return kernels;
    names += (names.empty() ? "" : ", ") + std::string(kernels.name);
  }
  throw Error("ASSAY_KERNELS_ISA=" + std::string(wanted) + ", but this machine has " + names);
}

}  // namespace assay
