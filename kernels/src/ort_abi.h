// The part of ONNX Runtime's C interface that this library uses, declared here so that building needs none of its
// headers. The API is a table of function pointers to which new ones are only ever appended, so that a function is
// identified by its index.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay::ort {

// The version of the table to request: 1.23 is the newest that any function below needs, and the oldest that `assay`
// supports.
constexpr uint32_t kApiVersion = 23;

struct Status;
struct CustomOpDomain;
struct SessionOptions;
struct KernelInfo;
struct KernelContext;
struct Value;
struct TensorShapeInfo;

enum ErrorCode : int { kFail = 1, kInvalidArgument = 2 };

enum ElementType : int { kFloat = 1, kUint8 = 2, kInt8 = 3, kInt32 = 6, kInt64 = 7 };

enum Presence : int { kRequired = 0, kOptional = 1 };

enum MemoryType : int { kDefaultMemory = 0 };

struct Allocator {
  uint32_t version;
  void* (*allocate)(Allocator* self, size_t bytes);
  void (*free)(Allocator* self, void* memory);
  // More follows; it is not used.
};

// The table of function pointers; its length depends on the version.
struct Api {
  template <class Signature>
  Signature* at(size_t place) const {
    return reinterpret_cast<Signature* const*>(this)[place];
  }

  // Method                                                                               place, ONNX Runtime version
  Status* create_status(ErrorCode code, const char* message) const {  // 0, 1.0
    return at<Status*(ErrorCode, const char*)>(0)(code, message);
  }
  const char* error_message(const Status* status) const {  // 2, 1.0
    return at<const char*(const Status*)>(2)(status);
  }
  Status* create_custom_op_domain(const char* name, CustomOpDomain** out) const {  // 26, 1.0
    return at<Status*(const char*, CustomOpDomain**)>(26)(name, out);
  }
  Status* domain_add(CustomOpDomain* domain, const struct CustomOp* op) const {  // 27, 1.0
    return at<Status*(CustomOpDomain*, const struct CustomOp*)>(27)(domain, op);
  }
  Status* add_custom_op_domain(SessionOptions* options, CustomOpDomain* domain) const {  // 28, 1.0
    return at<Status*(SessionOptions*, CustomOpDomain*)>(28)(options, domain);
  }
  Status* tensor_mutable_data(Value* value, void** out) const {  // 51, 1.0
    return at<Status*(Value*, void**)>(51)(value, out);
  }
  Status* element_type(const TensorShapeInfo* info, ElementType* out) const {  // 60, 1.0
    return at<Status*(const TensorShapeInfo*, ElementType*)>(60)(info, out);
  }
  Status* dimension_count(const TensorShapeInfo* info, size_t* out) const {  // 61, 1.0
    return at<Status*(const TensorShapeInfo*, size_t*)>(61)(info, out);
  }
  Status* dimensions(const TensorShapeInfo* info, int64_t* out, size_t count) const {  // 62, 1.0
    return at<Status*(const TensorShapeInfo*, int64_t*, size_t)>(62)(info, out, count);
  }
  Status* shape_info(const Value* value, TensorShapeInfo** out) const {  // 65, 1.0
    return at<Status*(const Value*, TensorShapeInfo**)>(65)(value, out);
  }
  Status* attribute_float(const KernelInfo* info, const char* name, float* out) const {  // 85, 1.0
    return at<Status*(const KernelInfo*, const char*, float*)>(85)(info, name, out);
  }
  Status* attribute_int64(const KernelInfo* info, const char* name, int64_t* out) const {  // 86, 1.0
    return at<Status*(const KernelInfo*, const char*, int64_t*)>(86)(info, name, out);
  }
  // `size` counts the closing zero. With `out` null it is set to what the value needs.
  Status* attribute_string(const KernelInfo* info, const char* name, char* out, size_t* size) const {  // 87, 1.0
    return at<Status*(const KernelInfo*, const char*, char*, size_t*)>(87)(info, name, out, size);
  }
  Status* input_count(const KernelContext* context, size_t* out) const {  // 88, 1.0
    return at<Status*(const KernelContext*, size_t*)>(88)(context, out);
  }
  Status* input(const KernelContext* context, size_t index, const Value** out) const {  // 90, 1.0
    return at<Status*(const KernelContext*, size_t, const Value**)>(90)(context, index, out);
  }
  Status* output(KernelContext* context, size_t index, const int64_t* shape, size_t rank,
                 Value** out) const {  // 91, 1.0
    return at<Status*(KernelContext*, size_t, const int64_t*, size_t, Value**)>(91)(context, index, shape, rank, out);
  }
  void release_status(Status* status) const {  // 93, 1.0
    at<void(Status*)>(93)(status);
  }
  void release_shape_info(TensorShapeInfo* info) const {  // 99, 1.0
    at<void(TensorShapeInfo*)>(99)(info);
  }
  void release_allocator(Allocator* allocator) const {  // 132, 1.5
    at<void(Allocator*)>(132)(allocator);
  }
  Status* parallel_for(const KernelContext* context, void (*task)(void*, size_t), size_t count, size_t batches,
                       void* data) const {  // 274, 1.17
    return at<Status*(const KernelContext*, void (*)(void*, size_t), size_t, size_t, void*)>(274)(context, task, count,
                                                                                                  batches, data);
  }
  Status* kernel_allocator(const KernelInfo* info, MemoryType type, Allocator** out) const {  // 278, 1.18
    return at<Status*(const KernelInfo*, MemoryType, Allocator**)>(278)(info, type, out);
  }
  Status* tensor_data(const Value* value, const void** out) const {  // 378, 1.23
    return at<Status*(const Value*, const void**)>(378)(value, out);
  }
};

struct ApiBase {
  const Api* (*get_api)(uint32_t version);
  const char* (*version)();
};

// A custom operator. Members that are left null are optional.
struct CustomOp {
  uint32_t version;
  void* (*create_kernel)(const CustomOp*, const Api*, const KernelInfo*);
  const char* (*name)(const CustomOp*);
  const char* (*provider)(const CustomOp*);
  ElementType (*input_type)(const CustomOp*, size_t index);
  size_t (*input_count)(const CustomOp*);
  ElementType (*output_type)(const CustomOp*, size_t index);
  size_t (*output_count)(const CustomOp*);
  void (*compute)(void* kernel, KernelContext*);
  void (*destroy)(void* kernel);
  Presence (*input_presence)(const CustomOp*, size_t index);
  Presence (*output_presence)(const CustomOp*, size_t index);
  MemoryType (*input_memory_type)(const CustomOp*, size_t index);
  int (*variadic_input_min)(const CustomOp*);
  int (*variadic_input_homogeneous)(const CustomOp*);
  int (*variadic_output_min)(const CustomOp*);
  int (*variadic_output_homogeneous)(const CustomOp*);
  Status* (*create_kernel_or_fail)(const CustomOp*, const Api*, const KernelInfo*, void** kernel);  // 1.16
  Status* (*compute_or_fail)(void* kernel, KernelContext*);                                         // 1.16
  Status* (*infer_shape)(const CustomOp*, void* context);                                           // 1.17
  int (*first_version)(const CustomOp*);                                                            // 1.17
  int (*last_version)(const CustomOp*);                                                             // 1.17
  size_t (*may_inplace)(int** input, int** output);                                                 // 1.18
  void (*release_may_inplace)(int* input, int* output);                                             // 1.18
  size_t (*alias_map)(int** input, int** output);                                                   // 1.18
  void (*release_alias_map)(int* input, int* output);                                               // 1.18
};

}  // namespace assay::ort
