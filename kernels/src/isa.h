// Which instruction set runs, and the kernels compiled for it.
#pragma once

#include <string>
#include <vector>

namespace assay {

struct LinearKernels;
struct AttentionKernels;

// Everything that differs between instruction sets. Each operator keeps the set that was chosen when its session was
// made.
struct Kernels {
  const char* name;
  const LinearKernels* linear;
  const AttentionKernels* attention;
};

// The names of what this machine and its operating system can run, best first. The last is "plain".
std::vector<std::string> instruction_sets();

// The best of them, or the one that the environment variable ASSAY_KERNELS_ISA names. Throws Error where it names one
// that this machine does not have.
const Kernels& select_kernels();

}  // namespace assay
