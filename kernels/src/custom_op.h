// Adapts a C++ class to the table of functions that ONNX Runtime calls for a custom operator.
//
// An operator is a class with
//   static constexpr const char* kName;
//   static constexpr InputSpec kInputs[];            // optional ones last
//   explicit Operator(const Attributes&);            // reads and checks its attributes
//   void compute(Context&) const;                    // called by several threads at once
// Both may throw Error. Its one output is float32.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "error.h"
#include "isa.h"
#include "ort_abi.h"
#include "parallel.h"

namespace assay {

struct InputSpec {
  const char* name;
  ort::ElementType type;
  ort::Presence presence;
};

template <class T>
struct Tensor {
  const T* data = nullptr;  // null where an optional input is absent
  std::vector<int64_t> shape;

  explicit operator bool() const { return data != nullptr; }
};

namespace detail {

inline void check(const ort::Api& api, ort::Status* status) {
  if (status == nullptr) return;
  const std::string message = api.error_message(status);
  api.release_status(status);
  throw Error(message);
}

template <class T>
constexpr ort::ElementType kElementType = ort::kFloat;
template <>
inline constexpr ort::ElementType kElementType<int8_t> = ort::kInt8;
template <>
inline constexpr ort::ElementType kElementType<int32_t> = ort::kInt32;
template <>
inline constexpr ort::ElementType kElementType<int64_t> = ort::kInt64;

}  // namespace detail

// The session's allocator. ONNX Runtime returns a new reference, which keeps the arena alive until it is released.
struct ReleaseAllocator {
  const ort::Api* api;
  void operator()(ort::Allocator* allocator) const { api->release_allocator(allocator); }
};
using SessionAllocator = std::unique_ptr<ort::Allocator, ReleaseAllocator>;

// The attributes of a node, and what else an operator's constructor needs.
class Attributes {
 public:
  Attributes(const ort::Api& api, const ort::KernelInfo* info, ort::Allocator* allocator)
      : api_(api), info_(info), allocator_(allocator), kernels_(select_kernels()) {}

  int64_t integer(const char* name) const {
    int64_t value = 0;
    detail::check(api_, api_.attribute_int64(info_, name, &value));
    return value;
  }
  float number(const char* name) const {
    float value = 0;
    detail::check(api_, api_.attribute_float(info_, name, &value));
    return value;
  }
  std::string text(const char* name) const {
    size_t size = 0;
    detail::check(api_, api_.attribute_string(info_, name, nullptr, &size));
    std::string value(size, '\0');
    detail::check(api_, api_.attribute_string(info_, name, value.data(), &size));
    value.resize(size > 0 ? size - 1 : 0);  // size counts the closing zero
    return value;
  }
  const Kernels& kernels() const { return kernels_; }
  // For Scratch; lives as long as the operator.
  ort::Allocator* allocator() const { return allocator_; }

 private:
  const ort::Api& api_;
  const ort::KernelInfo* info_;
  ort::Allocator* allocator_;
  const Kernels& kernels_;
};

// Memory for one call, from the session's allocator (an arena by default).
template <class T>
class Scratch {
 public:
  Scratch(ort::Allocator* allocator, size_t count)
      : allocator_(allocator),
        data_(count > 0 ? static_cast<T*>(allocator->allocate(allocator, count * sizeof(T))) : nullptr) {
    if (count > 0 && data_ == nullptr) throw Error("no memory for " + std::to_string(count * sizeof(T)) + " bytes");
  }
  ~Scratch() {
    if (data_ != nullptr) allocator_->free(allocator_, data_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* get() const { return data_; }

 private:
  ort::Allocator* allocator_;
  T* data_;
};

// The tensors of one call.
class Context {
 public:
  Context(const ort::Api& api, ort::KernelContext* context, const InputSpec* inputs)
      : api_(api), context_(context), inputs_(inputs) {}

  template <class T>
  Tensor<T> input(size_t index) const {
    Tensor<T> tensor;
    size_t count = 0;
    detail::check(api_, api_.input_count(context_, &count));
    const ort::Value* value = nullptr;
    if (index < count) detail::check(api_, api_.input(context_, index, &value));
    if (value == nullptr) {
      if (inputs_[index].presence == ort::kRequired) throw Error(std::string(inputs_[index].name) + " is missing");
      return tensor;
    }
    ort::TensorShapeInfo* info = nullptr;
    detail::check(api_, api_.shape_info(value, &info));
    const std::unique_ptr<ort::TensorShapeInfo, Release> owner(info, Release{&api_});
    ort::ElementType type{};
    size_t rank = 0;
    detail::check(api_, api_.element_type(info, &type));
    if (type != detail::kElementType<T>) throw Error(std::string(inputs_[index].name) + " has the wrong element type");
    detail::check(api_, api_.dimension_count(info, &rank));
    tensor.shape.resize(rank);
    if (rank > 0) detail::check(api_, api_.dimensions(info, tensor.shape.data(), rank));
    const void* data = nullptr;
    detail::check(api_, api_.tensor_data(value, &data));
    static const T nothing{};  // an empty tensor may have a null pointer, yet it is present
    tensor.data = data != nullptr ? static_cast<const T*>(data) : &nothing;
    return tensor;
  }

  // Requires the given shape, in which -1 matches any extent. An absent optional input stays absent.
  template <class T>
  Tensor<T> input(size_t index, const std::vector<int64_t>& shape) const {
    Tensor<T> tensor = input<T>(index);
    if (!tensor) return tensor;
    bool fits = tensor.shape.size() == shape.size();
    for (size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] == -1 || shape[i] == tensor.shape[i];
    if (!fits) {
      throw Error(std::string(inputs_[index].name) + " has shape " + to_text(tensor.shape) + " instead of " +
                  to_text(shape));
    }
    return tensor;
  }

  float* output(const std::vector<int64_t>& shape) const {
    ort::Value* value = nullptr;
    detail::check(api_, api_.output(context_, 0, shape.data(), shape.size(), &value));
    void* data = nullptr;
    detail::check(api_, api_.tensor_mutable_data(value, &data));
    return static_cast<float*>(data);
  }

  Parallel parallel() const { return Parallel(api_, context_); }

 private:
  struct Release {
    const ort::Api* api;
    void operator()(ort::TensorShapeInfo* info) const { api->release_shape_info(info); }
  };

  const ort::Api& api_;
  ort::KernelContext* context_;
  const InputSpec* inputs_;
};

namespace detail {

template <class Operator>
struct Instance {
  const ort::Api& api;
  SessionAllocator allocator;
  Operator op;
};

template <class Operator>
ort::Status* create(const ort::CustomOp*, const ort::Api* api, const ort::KernelInfo* info, void** kernel) {
  try {
    ort::Allocator* allocator = nullptr;
    check(*api, api->kernel_allocator(info, ort::kDefaultMemory, &allocator));
    SessionAllocator owner(allocator, ReleaseAllocator{api});
    Operator op(Attributes(*api, info, allocator));
    *kernel = new Instance<Operator>{*api, std::move(owner), std::move(op)};
    return nullptr;
  } catch (const std::exception& error) {
    return api->create_status(ort::kInvalidArgument, (std::string(Operator::kName) + ": " + error.what()).c_str());
  }
}

template <class Operator>
ort::Status* compute(void* kernel, ort::KernelContext* context) {
  const auto& instance = *static_cast<Instance<Operator>*>(kernel);
  try {
    Context call(instance.api, context, Operator::kInputs);
    instance.op.compute(call);
    return nullptr;
  } catch (const std::exception& error) {
    return instance.api.create_status(ort::kInvalidArgument,
                                      (std::string(Operator::kName) + ": " + error.what()).c_str());
  }
}

}  // namespace detail

template <class Operator>
const ort::CustomOp* custom_op() {
  using ort::CustomOp;
  static const CustomOp op = [] {
    CustomOp table{};
    table.version = ort::kApiVersion;
    table.name = [](const CustomOp*) { return Operator::kName; };
    table.provider = [](const CustomOp*) -> const char* { return nullptr; };
    table.input_count = [](const CustomOp*) -> size_t { return std::size(Operator::kInputs); };
    table.input_type = [](const CustomOp*, size_t index) { return Operator::kInputs[index].type; };
    table.input_presence = [](const CustomOp*, size_t index) { return Operator::kInputs[index].presence; };
    table.input_memory_type = [](const CustomOp*, size_t) { return ort::kDefaultMemory; };
    table.output_count = [](const CustomOp*) -> size_t { return 1; };
    table.output_type = [](const CustomOp*, size_t) { return ort::kFloat; };
    table.output_presence = [](const CustomOp*, size_t) { return ort::kRequired; };
    table.create_kernel_or_fail = &detail::create<Operator>;
    table.compute_or_fail = &detail::compute<Operator>;
    table.destroy = [](void* kernel) { delete static_cast<detail::Instance<Operator>*>(kernel); };
    table.first_version = [](const CustomOp*) { return 1; };
    table.last_version = [](const CustomOp*) { return 1; };
    return table;
  }();
  return &op;
}

}  // namespace assay
