// Detection of the CPU's instruction sets, and the kernels compiled for each.
#pragma once

#include <string>
#include <vector>

namespace assay {

struct LinearKernels;
struct AttentionKernels;

// The kernels of one instruction set. An operator keeps the table that was selected when its session was created.
struct Kernels {
  const char* name;
  const LinearKernels* linear;
  const AttentionKernels* attention;
};

// The instruction sets that the CPU and the operating system support, best first. The last is always "plain".
std::vector<std::string> instruction_sets();

// The best of them, or the one that the environment variable ASSAY_KERNELS_ISA names. Throws Error if that one is
// unknown or not supported here.
const Kernels& select_kernels();

}  // namespace assay
