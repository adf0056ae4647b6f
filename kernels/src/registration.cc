// The exported functions: registration with ONNX Runtime, and queries by the Python package.
#include <string>

#include "error.h"
#include "isa.h"
#include "ops/ops.h"
#include "ort_abi.h"

#if defined(_WIN32)
#define ASSAY_EXPORT extern "C" __declspec(dllexport)
#else
#define ASSAY_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace assay {
namespace {

ort::Status* make_domain(const ort::Api& api, ort::CustomOpDomain** domain) {
  if (ort::Status* status = api.create_custom_op_domain("assay", domain)) return status;
  for (const ort::CustomOp* op : {linear_op(), float_linear_op(), layer_norm_op(), disentangled_attention_op(),
                                  rotary_attention_op(), mean_rows_op(), embedding_norm_op()}) {
    if (ort::Status* status = api.domain_add(*domain, op)) return status;
  }
  return nullptr;
}

}  // namespace
}  // namespace assay

// Called by SessionOptions.register_custom_ops_library. The domain is shared by all sessions and never released.
ASSAY_EXPORT assay::ort::Status* RegisterCustomOps(assay::ort::SessionOptions* options,
                                                   const assay::ort::ApiBase* base) {
  using namespace assay;
  const ort::Api* api = base->get_api(ort::kApiVersion);
  if (api == nullptr) {
    // The oldest table suffices to report the error.
    const std::string message = "assay-kernels needs ONNX Runtime 1." + std::to_string(ort::kApiVersion) +
                                " or newer; this is " + base->version();
    return base->get_api(1)->create_status(ort::kFail, message.c_str());
  }
  try {
    select_kernels();
    static ort::CustomOpDomain* domain = nullptr;
    static ort::Status* const failure = make_domain(*api, &domain);
    if (failure != nullptr) return api->create_status(ort::kFail, api->error_message(failure));
    return api->add_custom_op_domain(options, domain);
  } catch (const std::exception& error) {
    return api->create_status(ort::kFail, (std::string("assay-kernels: ") + error.what()).c_str());
  }
}

ASSAY_EXPORT const char* assay_kernels_version() { return ASSAY_KERNELS_VERSION; }

// The instruction set that a new session would use; null on error, see assay_kernels_problem().
ASSAY_EXPORT const char* assay_kernels_instruction_set() {
  try {
    return assay::select_kernels().name;
  } catch (const std::exception&) {
    return nullptr;
  }
}

// Valid until the calling thread's next call.
ASSAY_EXPORT const char* assay_kernels_problem() {
  static thread_local std::string problem;
  try {
    assay::select_kernels();
    problem.clear();
  } catch (const std::exception& error) {
    problem = error.what();
  }
  return problem.c_str();
}

// The valid values of ASSAY_KERNELS_ISA on this machine, best first, separated by commas.
ASSAY_EXPORT const char* assay_kernels_instruction_sets() {
  static const std::string names = [] {
    std::string text;
    for (const std::string& name : assay::instruction_sets()) text += (text.empty() ? "" : ",") + name;
    return text;
  }();
  return names.c_str();
}
