// Parallel loops on the intra-op thread pool of the session. Nothing here starts a thread or spins.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>

#include "error.h"
#include "ort_abi.h"

namespace assay {

class Parallel {
 public:
  // Serial: runs everything on the calling thread.
  Parallel() = default;
  Parallel(const ort::Api& api, const ort::KernelContext* context) : api_(&api), context_(context) {}

  // Calls f(index) once for each index below count, on any thread and in any order, and returns when all are done.
  // Threads take the next index as they become free, so small tasks balance cores of unequal speed.
  // An exception thrown by a task is rethrown here.
  template <class F>
  void for_each(size_t count, const F& f) const {
    if (api_ == nullptr || count < 2) {
      for (size_t i = 0; i < count; ++i) f(i);
      return;
    }
    Call<F> call{f, {}, {}, nullptr};
    ort::Status* status = api_->parallel_for(context_, &Call<F>::run, count, 0, &call);
    if (status != nullptr) {
      const std::string message = api_->error_message(status);
      api_->release_status(status);
      throw Error("ONNX Runtime's thread pool: " + message);
    }
    if (call.failure) std::rethrow_exception(call.failure);
  }

 private:
  template <class F>
  struct Call {
    const F& f;
    std::atomic<bool> failed;
    std::mutex mutex;
    std::exception_ptr failure;

    static void run(void* data, size_t index) {
      Call& call = *static_cast<Call*>(data);
      if (call.failed.load(std::memory_order_relaxed)) return;
      try {
        call.f(index);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(call.mutex);
        if (!call.failure) call.failure = std::current_exception();
        call.failed.store(true, std::memory_order_relaxed);
      }
    }
  };

  const ort::Api* api_ = nullptr;
  const ort::KernelContext* context_ = nullptr;
};

}  // namespace assay
